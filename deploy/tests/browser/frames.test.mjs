// Key frames for scrubbing: each range of bytes is one picture, and the picture is of the moment its playlist says.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import HLS from 'hls-parser';
import { up } from './browser.mjs';

const WRAP = 2 ** 20;
const CELLS = 20;

async function recording(url) {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const answer = await fetch(url);
    const list = answer.ok && /#EXT-X-I-FRAME-STREAM-INF:.*RESOLUTION=(\d+)x(\d+),URI="([^"]+)"/.exec(await answer.text());
    if (list) return { width: Number(list[1]), height: Number(list[2]), url: new URL(list[3], url).href };
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
  throw new Error('no key frames within a minute');
}

async function bytes(url, { offset, length } = {}) {
  const headers = length ? { range: `bytes=${offset}-${offset + length - 1}` } : {};
  const answer = await fetch(url, { headers });
  assert.equal(answer.status, length ? 206 : 200, url);
  return Buffer.from(await answer.arrayBuffer());
}

/** Luma of all pictures that ffmpeg makes of it. */
function decode(input) {
  const args = ['-v', 'fatal', '-f', 'mp4', '-i', '-', '-f', 'rawvideo', '-pix_fmt', 'gray', '-'];
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', args, { timeout: 30_000, stdio: ['pipe', 'pipe', 'inherit'] });
    const out = [];
    child.stdout.on('data', (data) => out.push(data));
    child.on('error', reject);
    child.on('close', () => resolve(Buffer.concat(out)));
    child.stdin.on('error', () => {}); // it has what it needs
    child.stdin.end(input);
  });
}

/** The test clock of a picture: see clock.mjs. */
function stamp(luma, width, height) {
  const row = Math.floor(height / 24) * width;
  const cells = [...Array(CELLS).keys()].map((cell) => luma[row + Math.floor((width / CELLS) * (cell + 0.5))]);
  return cells.reduce((sum, level, cell) => sum + (level > 128 ? 2 ** cell : 0), 0);
}

test('a picture for each second, without its neighbours', { timeout: 120_000 }, async () => {
  const { playlist_url: live } = await up();
  const { width, height, url } = await recording(live.replace('index.m3u8', 'dvr.m3u8'));
  const answer = await fetch(url);
  const playlist = HLS.parse(await answer.text());
  assert.ok(playlist.isIFrame);
  const there = playlist.segments.filter(({ byterange }) => byterange);
  assert.ok(there.length > 3, `${there.length} key frames`);
  const media = there[0];
  let programDateTime;
  let at = 0;
  const moments = new Map();
  for (const segment of playlist.segments) {
    if (segment.programDateTime) [programDateTime, at] = [segment.programDateTime.getTime(), 0];
    moments.set(segment, programDateTime + at * 1000);
    at += segment.duration;
  }
  const init = await bytes(new URL(media.map.uri, url));
  for (const segment of there.slice(-4)) {
    const range = await bytes(new URL(segment.uri, url), segment.byterange);
    const luma = await decode(Buffer.concat([init, range]));
    assert.equal(luma.length, width * height, 'one picture');
    const behind = (((moments.get(segment) - stamp(luma, width, height)) % WRAP) + WRAP) % WRAP;
    const off = Math.min(behind, WRAP - behind);
    assert.ok(off < 1000, `the picture is ${off} ms from its date`);
  }
});
