// hls.js, Shaka Player and video.js play what we serve, and outlive the packager.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch } from './browser.mjs';
import { best, follow, neverBack } from './line.mjs';
import { hinted, measure, openPlayer, PLAYERS, servePlayers } from './players.mjs';
import { roles } from './roles.mjs';

const SETTLE_MS = 4_000;
// One stretch without a stall is wanted. Who begins nearer than player and machine can keep up with falls back by
// standing, as none of them slows down; so there is more than one try, and each stall is told.
const STRETCHES = 3;
const PLAY_MS = 20_000;
// What a player may add to hold-back and target duration: capture to published part, and one part of its own.
const ON_TOP_MS = 1_500;
const DRIFT_MS_MAX = 500;
// From the packager's death to a picture that moves at the old distance; a player's first retry takes a second.
const RECOVER_MS = 20_000;
const STOOD_MS_MAX = 10_000;

let browser;
let served;
before(async () => {
  browser = await launch();
  served = await servePlayers();
});
after(async () => {
  await browser?.close();
  served?.close();
});

test('three players', { timeout: 360_000 }, async (t) => {
  const ringside = await roles(t);
  const playlist = `${ringside.http}/live/main/index.m3u8`;
  for (const role of [ringside.packager, ringside.edge, ringside.ingest]) role.start();
  const distance = await untilSegments(playlist, 4);

  for (const name of Object.keys(PLAYERS)) {
    await t.test(`${name} plays without a stall and keeps its distance`, async (one) => {
      const page = await openPlayer(browser, served, name, playlist);
      one.after(() => page.close());
      await pause(SETTLE_MS);
      const seen = await play(page, (what) => one.diagnostic(what));
      const ahead = hinted(page).length;
      one.diagnostic(`${seen.version}: first picture ${seen.firstPictureMs} ms, p50 / p99 ${seen.p50} / ${seen.p99} ms, drift ${seen.drift} ms, ${ahead} parts by hint`);
      assert.equal(seen.stalls, 0, `stood for ${seen.stalledMs} ms`);
      assert.ok(seen.frames > (PLAY_MS / 1000) * 15, `only ${seen.frames} frames`);
      assert.ok(seen.unreadable < seen.frames / 10, `no clock in ${seen.unreadable} of ${seen.frames} frames`);
      assert.ok(seen.p50 < distance + ON_TOP_MS, `${seen.p50} ms behind`);
      assert.ok(Math.abs(seen.drift) < DRIFT_MS_MAX, `distance changed by ${seen.drift} ms`);
      assert.deepEqual([seen.fatal, page.complaints], [[], []]);
      assert.deepEqual(page.answers.filter(({ status }) => status !== 200), [], 'was refused');
      if (name === 'shaka') assert.ok(ahead > PLAY_MS / 1000, `only ${ahead} parts by hint`);
    });
  }

  await t.test('all of them outlive the packager', async (all) => {
    const line = follow(playlist);
    all.after(() => line.stop());
    const playing = await Promise.all(Object.keys(PLAYERS).map(async (name) => {
      const page = await openPlayer(browser, served, name, playlist);
      all.after(() => page.close());
      return { name, page };
    }));
    await pause(SETTLE_MS);
    for (const one of playing) one.end = await measure(one.page);
    await ringside.packager.stop('SIGKILL');
    ringside.packager.start();
    await pause(RECOVER_MS);
    for (const { name, page, end } of playing) {
      const seen = await end();
      const now = await measure(page);
      await pause(SETTLE_MS);
      const { stalls, p50 } = await now();
      all.diagnostic(`${name}: stood ${seen.stalls} times, ${seen.stalledMs} ms; then ${p50} ms behind; said ${JSON.stringify(seen.notes)}`);
      assert.deepEqual(seen.fatal, [], `${name} gave up`);
      assert.ok(seen.stalledMs < STOOD_MS_MAX, `${name} stood for ${seen.stalledMs} ms`);
      assert.equal(stalls, 0, `${name} still stands`);
      assert.ok(p50 < distance + ON_TOP_MS + STOOD_MS_MAX, `${name}: ${p50} ms behind`);
    }
    const seen = await line.stop();
    assert.ok(seen.at(-1).newest > seen[0].newest, 'the line goes on');
    neverBack(seen);
  });
});

/** What was seen in the first stretch without a stall, or in the last that is allowed. */
async function play(page, tell) {
  for (let left = STRETCHES; ; left -= 1) {
    const end = await measure(page);
    await pause(PLAY_MS);
    const seen = await end();
    if (seen.stalls === 0 || left === 1) return seen;
    tell(`stood for ${seen.stalledMs} ms, ${seen.p50} ms behind`);
  }
}

/** Waits for so many segments of pictures; returns hold-back and target duration, in milliseconds. */
async function untilSegments(playlist, count) {
  const until = Date.now() + 60_000;
  while (Date.now() < until) {
    const text = await best(playlist).catch(() => '');
    const media = text.match(/#EXT-X-PROGRAM-DATE-TIME:\S+\n(#EXT-X-PART:\S+\n)*#EXTINF/g) ?? [];
    if (media.length >= count) {
      const [, back] = /PART-HOLD-BACK=([\d.]+)/.exec(text);
      const [, target] = /TARGETDURATION:(\d+)/.exec(text);
      return (Number(back) + Number(target)) * 1000;
    }
    await pause(200);
  }
  throw new Error(`no ${count} segments within a minute`);
}
