// One viewer, one page, no reload, while the processes behind the page come, die and return.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch, open, shot, untilState } from './browser.mjs';
import { best, follow, neverBack } from './line.mjs';
import { untilPicture } from './pictures.mjs';
import { roles } from './roles.mjs';

const RECOVER_MS = 30_000;
// From the restart of an ingest to a live picture; 17 restarts took 1.4 to 3.8 s.
const LADDER_RECOVER_MS = 8_000;

test('the page outlives every process behind it', { timeout: 140_000 }, async (t) => {
  const { step, ringside, browser } = await stage(t);
  const { edge, packager, ingest } = ringside;
  const [watch, multivariant] = ['/watch/main', '/live/main/index.m3u8'].map((path) => ringside.http + path);
  edge.start();
  const page = await step('edge alone: the page says so and keeps asking', async () => {
    await untilAnswered(watch, 10_000);
    const opened = await open(browser, watch);
    await untilState(opened, 'not-started', 20_000);
    await opened.getByText('The stream has not started yet').first().waitFor({ state: 'visible' });
    for (const _ of ['once', 'again']) await opened.waitForRequest(multivariant, { timeout: 10_000 });
    return opened;
  });
  await page.evaluate(() => { window.neverReloaded = true; });

  await step('packager, then ingest: the page begins by itself', async () => {
    packager.start();
    const since = Date.now();
    ingest.start();
    await untilLive(page, since);
    await untilPicture(page, 'test');
  });
  const playlist = follow(multivariant);
  t.after(() => playlist.stop());

  await step('packager killed: the page says so, and is back at the live edge after the restart', async () => {
    await packager.stop('SIGKILL');
    await untilReconnecting(page);
    await shot(page, 'packager-killed');
    packager.start();
    await untilLive(page, Date.now());
    await untilPicture(page, 'test');
  });

  for (const [ladders, seconds] of [[1, 0], [2, 4]]) {
    await step(`ingest killed, ${seconds} s away: the same page goes on behind a discontinuity`, async () => {
      const before = await published(multivariant);
      const engine = await page.evaluateHandle(() => window.ringside.hls);
      await ingest.stop('SIGKILL');
      await pause(seconds * 1000);
      const since = Date.now();
      ingest.start();
      await untilLive(page, since, LADDER_RECOVER_MS);
      assert.ok(await page.evaluate((same) => window.ringside.hls === same, engine), 'no new player was needed');
      const after = await published(multivariant);
      assert.equal(after.discontinuities, ladders, 'discontinuities since the start');
      for (const [number, segment] of before.whole) {
        assert.equal(after.whole.get(number) ?? segment, segment, `segment ${number} was published`);
      }
      await untilPicture(page, 'test');
    });
  }

  await step('edge stopped: so it is with the edge', async () => {
    assert.equal(await edge.stop('SIGTERM'), 0, 'exit code');
    await untilReconnecting(page);
    edge.start();
    await untilLive(page, Date.now());
    await untilPicture(page, 'test');
  });

  const seen = await playlist.stop();
  assert.ok(seen.length > 20, `only ${seen.length} playlists`);
  neverBack(seen);
  assert.ok(await page.evaluate(() => window.neverReloaded), 'the page was loaded again');
  assert.deepEqual(page.complaints, []);
});

test('who comes with the first picture sees it, over HTTP/2 too', { timeout: 60_000 }, async (t) => {
  const { step, ringside, browser } = await stage(t);
  // Everybody is at the door before it opens.
  const urls = [ringside.http, ringside.https].map((edge) => `${edge}/watch/main`);
  const pages = await Promise.all(urls.map(() => open(browser, 'about:blank')));
  await Promise.all(pages.map((page) => page.addInitScript(countGaps)));
  for (const role of [ringside.edge, ringside.packager, ringside.ingest]) role.start();
  await step('the first playlist', () => untilAnswered(`${ringside.http}/live/main/index.m3u8`, 20_000));
  await step('pages opened at once play', async () => {
    await Promise.all(pages.map((page, index) => page.goto(urls[index])));
    await Promise.all(pages.map((page) => untilState(page, 'playing', 15_000)));
    // Asking for what is announced as missing is what may hang a player, though not each time.
    const gaps = await Promise.all(pages.map((page) => page.evaluate(() => window.gaps)));
    assert.deepEqual(gaps, pages.map(() => 0), 'segments of GAP were asked for');
  });
  await step('playlists came over HTTP/2', async () => {
    const secure = pages.at(-1);
    await untilPicture(secure, 'test');
    const protocols = () => {
      const answered = ({ name, responseStatus }) => name.includes('/media.m3u8') && responseStatus === 200;
      const entries = performance.getEntriesByType('resource').filter(answered);
      return entries.length >= 4 && entries.map(({ name, nextHopProtocol }) => `${new URL(name).protocol} ${nextHopProtocol}`);
    };
    const found = await (await secure.waitForFunction(protocols, null, { timeout: 10_000 })).jsonValue();
    assert.deepEqual([...new Set(found)], ['https: h2']);
  });
  for (const page of pages) assert.deepEqual(page.complaints, []);
});

/** Runs inside the page. Keeps `window.gaps`, how often the player asked for a segment that is announced as GAP. */
function countGaps() {
  const known = new WeakSet();
  window.gaps = 0;
  setInterval(() => {
    const hls = window.ringside?.hls;
    if (!hls || known.has(hls)) return;
    known.add(hls);
    hls.on('hlsError', (_, { details }) => { window.gaps += details === 'fragGap' ? 1 : 0; });
  }, 1);
}

/** Roles that do not run yet, a browser, and `step`, which tells how long each took and what the roles said if it failed. */
async function stage(t) {
  const ringside = await roles(t);
  const browser = await launch();
  t.after(() => browser.close());
  const step = async (name, run) => {
    const begun = performance.now();
    try {
      return await run();
    } catch (error) {
      throw new Error(`${name}: ${error.message}\n${ringside.logs()}`, { cause: error });
    } finally {
      t.diagnostic(`${name}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    }
  };
  return { step, ringside, browser };
}

async function untilAnswered(url, timeout) {
  const until = Date.now() + timeout;
  let last;
  while (Date.now() < until) {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeout) }).catch((error) => ({ status: String(error.cause ?? error) }));
    if (response.ok) return;
    last = response.status;
    await pause(20);
  }
  throw new Error(`${url}: ${last} after ${timeout} ms`);
}

async function untilReconnecting(page) {
  await untilState(page, 'reconnecting', 20_000);
  await page.getByText('Reconnecting', { exact: true }).first().waitFor({ state: 'visible' });
}

/** Waits until the page plays, at the live edge, what was made after `since`. */
async function untilLive(page, since, within = RECOVER_MS) {
  const now = () => {
    const { ringside } = window;
    return { state: ringside.state(), latency: ringside.latency(), made: ringside.hls?.playingDate?.getTime() ?? 0 };
  };
  const until = since + within;
  let last;
  while (Date.now() < until) {
    last = await page.evaluate(now);
    if (last.state === 'playing' && last.latency !== null && last.latency < 6 && last.made > since) return;
    await pause(100);
  }
  throw new Error(`not live after ${within} ms: ${JSON.stringify(last)}, ${last.made - since} ms after the restart`);
}

/** Discontinuities up to the newest segment, and the whole segments by number, GAP or not and with their dates. */
async function published(multivariant) {
  const text = await best(multivariant);
  const left = Number(/^#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)$/m.exec(text)[1]);
  const tags = text.match(/^#EXT-X-DISCONTINUITY$/gm)?.length ?? 0;
  const segments = text.matchAll(/^(#EXT-X-PROGRAM-DATE-TIME:.*)\n(?:#EXT-X-PART:.*\n)*((?:#EXT-X-GAP\n)?#EXTINF:.*\nseg-(\d+)\.m4s)$/gm);
  return { discontinuities: left + tags, whole: new Map([...segments].map(([, date, segment, number]) => [number, date + segment])) };
}
