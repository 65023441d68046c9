// From the glass of the camera to the glass of the screen: plays the running stream and reads the burnt-in clock back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, open, shot, untilState, up } from './browser.mjs';
import { percentile, readPictureClock } from './clock.mjs';
import { untilPicture } from './pictures.mjs';

const START_UP_MS = 5000;
const PLAY_MS = 30_000;

test('the stream plays without a stall and its clock can be read', { timeout: 120_000 }, async (t) => {
  const { watch_url } = await up();
  const browser = await launch();
  t.after(() => browser.close());
  const page = await open(browser, watch_url);
  await untilState(page, 'playing', 60_000);
  await untilPicture(page, process.env.RINGSIDE_PICTURE ?? 'test', 30_000);
  await page.waitForTimeout(START_UP_MS);
  await page.evaluate(readPictureClock);
  await page.waitForTimeout(PLAY_MS);

  const clock = await page.evaluate(() => window.pictureClock);
  const shown = await page.evaluate(() => window.ringside.latency());
  await shot(page, 'glass');

  const [p50, p95] = [percentile(clock.samples, 0.5), percentile(clock.samples, 0.95)];
  const stalls = Math.max(clock.stalls.length, clock.waiting);
  console.log(JSON.stringify({ glass_to_glass_ms: { p50, p95, samples: clock.samples.length }, stalls }));

  assert.ok(clock.frames > (PLAY_MS / 1000) * 5, `only ${clock.frames} frames were displayed`);
  assert.ok(clock.samples.length > clock.frames * 0.9, `clock unreadable in ${clock.unreadable} of ${clock.frames} frames`);
  assert.equal(stalls, 0, `stalled: ${JSON.stringify(clock.stalls)}, waited ${clock.waiting} times`);
  assert.ok(p50 < 10_000, `${p50} ms from glass to glass`);
  assert.ok(Math.abs(shown * 1000 - p50) < 2000, `badge says ${shown} s, the picture ${p50} ms`);
  assert.deepEqual(page.complaints, []);
});
