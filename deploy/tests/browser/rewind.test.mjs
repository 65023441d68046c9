// The viewer page goes back: half a minute, to the start, and to the live edge again.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, shot, untilState, up } from './browser.mjs';

let browser;
let watch;
let began;
before(async () => {
  const { watch_url: url, playlist_url: playlist } = await up();
  watch = url;
  began = await beginning(playlist.replace('index.m3u8', 'dvr.m3u8'));
  browser = await launch();
});
after(() => browser?.close());

/** When the recording begins, in milliseconds, once there are 20 s of it. */
async function beginning(url) {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const multivariant = await fetch(url);
    if (multivariant.ok) {
      const track = /^(.+dvr\.m3u8)$/m.exec(await multivariant.text())[1];
      const text = await (await fetch(new URL(track, url))).text();
      // What was before its first picture is GAP.
      const media = text.match(/#EXT-X-PROGRAM-DATE-TIME:\S+\n#EXTINF/g) ?? [];
      if (media.length > 10) return Date.parse(media[0].split(/DATE-TIME:|\n/)[1]);
    }
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
  throw new Error('no recording within a minute');
}

const at = (page) => page.evaluate(() => window.ringside.hls?.playingDate?.getTime() ?? 0);
const moves = async (page) => {
  const before = await at(page);
  await page.waitForTimeout(2000);
  const step = (await at(page)) - before;
  assert.ok(step > 1000 && step < 3000, `${step} ms of the programme in 2 s`);
};

test('back to the start, forth by the timeline, and live again', { timeout: 120_000 }, async (t) => {
  const page = await open(browser, watch);
  t.after(() => page.close());
  await untilState(page, 'playing', 60_000);
  await page.mouse.move(300, 300);
  await page.getByRole('button', { name: 'Watch from the start' }).click();
  await page.waitForFunction((ms) => Math.abs((window.ringside.hls?.playingDate?.getTime() ?? 0) - ms) < 5000, began, { timeout: 15_000 });
  await moves(page);
  await page.locator('media-time-range').waitFor({ state: 'visible' });
  assert.equal(await page.evaluate(() => window.ringside.video.playbackRate), 1);
  await page.mouse.move(310, 310);
  await shot(page, 'rewound');
  await page.evaluate(() => { window.ringside.video.currentTime += 8; });
  await page.waitForFunction((ms) => (window.ringside.hls.playingDate?.getTime() ?? 0) > ms, began + 8000, { timeout: 10_000 });
  await moves(page);
  await page.getByRole('button', { name: /seconds behind live/ }).click();
  await page.waitForFunction(() => window.ringside.latency() < 6, null, { timeout: 15_000 });
  await moves(page);
  await page.locator('media-time-range').waitFor({ state: 'hidden' });
  assert.deepEqual(page.complaints, []);
});

test('half a minute back, on a telephone', { timeout: 120_000 }, async (t) => {
  const page = await open(browser, watch, { viewport: { width: 320, height: 568 } });
  t.after(() => page.close());
  await untilState(page, 'playing', 60_000);
  const live = await at(page);
  await page.mouse.move(100, 150);
  await page.getByRole('button', { name: 'Back 30 seconds' }).click();
  const target = Math.max(began, live - 30_000);
  await page.waitForFunction((ms) => Math.abs((window.ringside.hls?.playingDate?.getTime() ?? 0) - ms) < 6000, target, { timeout: 15_000 });
  await moves(page);
  await page.mouse.move(105, 155);
  await shot(page, 'rewound-320');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  assert.deepEqual(page.complaints, []);
});
