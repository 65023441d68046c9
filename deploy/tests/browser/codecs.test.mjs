// A ladder of H.264, HEVC and AV1 in Chromium: what it says it can decode, it plays from our parts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import HLS from 'hls-parser';
import { launch, open, untilState, up } from './browser.mjs';

// Each codec has a width of its own in this ladder: what is shown says what was decoded.
const NAMES = { 640: /^avc1\.[0-9a-f]{6}$/, 480: /^hvc1\.1\.6\.L\d+(\.[0-9A-F]{1,2}){1,6}$/, 320: /^av01\.0\.\d{2}M\.08$/ };

let browser;
let watch;
let rungs;
before(async () => {
  const { watch_url: url, playlist_url: playlist } = await up();
  watch = url;
  const text = await (await fetch(playlist)).text();
  rungs = HLS.parse(text).variants.map(({ codecs, resolution: { width } }) => ({ codecs, width, name: codecs.split(',')[0] }));
  browser = await launch();
});
after(() => browser?.close());

test('H.264 is listed first, and every variant names its codec', () => {
  assert.deepEqual(rungs.map(({ width }) => width), [640, 480, 320]);
  for (const { width, name } of rungs) assert.match(name, NAMES[width]);
});

test('every rung that Chromium says it decodes is shown, without an error', { timeout: 60_000 }, async (t) => {
  const page = await open(browser, watch);
  t.after(() => page.close());
  await untilState(page, 'playing', 30_000);
  const said = await page.evaluate(
    (all) => all.map(({ codecs }) => MediaSource.isTypeSupported(`video/mp4; codecs="${codecs}"`)),
    rungs,
  );
  t.diagnostic(rungs.map(({ name }, index) => `${name}: ${said[index]}`).join(', '));
  assert.ok(said[0] && said[2], 'Chromium decodes H.264 and AV1');
  await page.evaluate(() => {
    window.failures = [];
    window.ringside.hls.on('hlsError', (_, { fatal, details }) => fatal && window.failures.push(details));
  });
  // Away from the one it began with, and back.
  for (const { name, width } of [...rungs, ...rungs].filter((_, index) => said[index % rungs.length])) {
    await page.evaluate((wanted) => {
      const { hls } = window.ringside;
      hls.loadLevel = hls.levels.findIndex(({ videoCodec }) => videoCodec === wanted);
    }, name);
    await page.waitForFunction((wanted) => window.ringside.video.videoWidth === wanted, width, { timeout: 10_000 });
    const seen = await page.evaluate(() => window.ringside.video.getVideoPlaybackQuality().totalVideoFrames);
    await page.waitForFunction((before) => window.ringside.video.getVideoPlaybackQuality().totalVideoFrames > before + 30, seen, { timeout: 10_000 });
  }
  assert.deepEqual(await page.evaluate(() => window.failures), []);
  assert.deepEqual(page.complaints, []);
});

test('a player without HEVC and AV1 plays H.264', { timeout: 60_000 }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  await context.addInitScript(() => {
    const known = MediaSource.isTypeSupported.bind(MediaSource);
    MediaSource.isTypeSupported = (type) => !/av01|hvc1|hev1/.test(type) && known(type);
  });
  const page = await open(context, watch);
  await untilState(page, 'playing', 30_000);
  await page.waitForFunction(() => window.ringside.video.videoWidth === 640, null, { timeout: 10_000 });
  assert.equal(await page.evaluate(() => window.ringside.hls.levels.length), 1);
});
