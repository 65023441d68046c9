import assert from 'node:assert/strict';
import { test } from 'node:test';
import { badge } from '../src/badge.js';
import { hlsConfig, playlistOf } from '../src/config.js';
import { Progress } from '../src/progress.js';
import { attachQuality, renditionText } from '../src/quality.js';

test('the badge shows true latency while live', () => {
  assert.deepEqual(badge({ seconds: 1.84, target: 1.6, active: true }), {
    mode: 'live',
    text: 'LIVE 1.8 s',
    label: 'Live, 1.8 seconds behind',
  });
});

test('more than six seconds behind is not live', () => {
  assert.equal(badge({ seconds: 6, target: 1.6, active: true }).mode, 'live');
  const late = badge({ seconds: 12.3, target: 1.6, active: true });
  assert.deepEqual([late.mode, late.text], ['behind', 'LIVE \u221212 s']);
  assert.match(late.label, /Go live/);
  assert.equal(badge({ seconds: 125, target: null, active: true }).text, 'LIVE \u22122:05');
});

test('where the stream itself holds back further, that is live', () => {
  assert.equal(badge({ seconds: 11, target: 9, active: true }).mode, 'live');
});

test('without a clock the badge claims no figure, without a picture no liveness', () => {
  assert.equal(badge({ seconds: null, target: null, active: true }).text, 'LIVE');
  assert.equal(badge({ seconds: 1, target: 1, active: false }).mode, 'off');
});

test('the page address names the playlist', () => {
  assert.deepEqual(playlistOf('/watch/main'), { stream: 'main', url: '/live/main/index.m3u8', rewindUrl: '/live/main/dvr.m3u8' });
  const folder = '/t/abc.def/live/main';
  assert.deepEqual(playlistOf('/t/abc.def/watch/main/'), { stream: 'main', url: `${folder}/index.m3u8`, rewindUrl: `${folder}/dvr.m3u8` });
  for (const bad of ['/watch/', '/watch/Main', '/watch/a/b', '/watch/-a', `/watch/${'a'.repeat(65)}`]) assert.equal(playlistOf(bad), null);
});

test('retries are drawn anew each time, grow, and are bounded', () => {
  let random = 0;
  const { errorRetry } = hlsConfig(() => random).playlistLoadPolicy.default;
  assert.deepEqual([errorRetry.retryDelayMs, errorRetry.maxRetryDelayMs], [250, 2000]);
  random = 0.99;
  assert.deepEqual([errorRetry.retryDelayMs, errorRetry.maxRetryDelayMs], [745, 5960]);
  assert.equal(errorRetry.shouldRetry(errorRetry, 0, false, { code: 404 }, false), true);
  assert.equal(errorRetry.shouldRetry(errorRetry, errorRetry.maxNumRetry, false, { code: 404 }, false), false);
  assert.equal(errorRetry.shouldRetry(errorRetry, 0, false, { code: 403 }, false), false);
});

test('a stall is counted once, told after two seconds, and over when the picture moves', () => {
  const progress = new Progress();
  const look = (now, position, expected = true) => progress.look({ now, position, expected });
  assert.equal(look(0, 0), null);
  assert.equal(look(250, 0.25), 'progress');
  assert.equal(look(700, 0.25), null);
  assert.equal(progress.stalls, 0);
  assert.equal(look(750, 0.25), null);
  assert.equal(progress.stalls, 1);
  assert.equal(look(2250, 0.25), 'stalled');
  assert.equal(look(2500, 0.3), 'progress');
  assert.equal(progress.stalls, 1);
});

test('a pause is no stall', () => {
  const progress = new Progress();
  for (const now of [0, 1000, 5000]) assert.equal(progress.look({ now, position: 1, expected: false }), null);
  assert.equal(progress.look({ now: 9000, position: 1, expected: true }), null);
  assert.equal(progress.stalls, 0);
  assert.equal(progress.look({ now: 11_000, position: 1, expected: true }), 'stalled');
});

test('a rung is named by height and bit rate', () => {
  assert.equal(renditionText({ width: 1280, height: 720, bitrate: 2_840_000 }), '720p \u00b7 2.8 Mbps');
  assert.equal(renditionText({ width: 426, height: 240, bitrate: 420_000 }), '240p \u00b7 420 kbps');
  assert.equal(renditionText({ width: 720, height: 1280, bitrate: 0 }), '720p');
});

test('the viewer\u2019s choice of rung survives a new player', () => {
  const video = {};
  const levels = attachQuality(video);
  const rungs = [{ width: 1280, height: 720, bitrate: 3e6 }, { width: 640, height: 360, bitrate: 1e6 }];
  const player = { levels: rungs, manualLevel: -1 };
  levels(player);
  assert.equal(player.loadLevel, undefined);
  assert.deepEqual([...video.videoRenditions].map(({ height }) => height), [720, 360]);
  video.videoRenditions.selectedIndex = 1;
  assert.equal(player.loadLevel, 1);
  const next = { levels: rungs, manualLevel: -1 };
  levels(next);
  assert.equal(next.loadLevel, 1);
  levels({ levels: rungs.slice(0, 1), manualLevel: -1 });
  assert.equal(video.videoRenditions.selectedIndex, -1);
  assert.equal(video.videoRenditions[1], undefined);
});
