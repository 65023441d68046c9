// One event: its encoder dies, another one comes, a third takes over, the packager dies. Its recording has no hole.
// RINGSIDE_BINARY names the server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch } from './browser.mjs';
import { packets } from './media.mjs';
import { measure, openPlayer, PLAYERS, servePlayers } from './players.mjs';
import { roles } from './roles.mjs';

const RATE = 30;
const AAC_FRAME = 1024;
// What is still on its way to the packager when the event is ended is not in it.
const LATE_MS = 1_500;

test('a recording without a hole, whatever died while it was made', { timeout: 240_000 }, async (t) => {
  const ringside = await roles(t);
  for (const role of [ringside.packager, ringside.ingest, ringside.edge]) role.start();
  const multivariant = `${ringside.http}/live/main/index.m3u8`;
  await until('a playlist', 20_000, async () => (await fetch(multivariant)).ok);

  let span;
  await t.test('the event', async () => { span = await event(t, ringside); });

  const { duration, tracks } = await recording(multivariant);
  const [began] = /(?<=PROGRAM-DATE-TIME:)\S+/.exec(tracks[0].text);
  const over = Date.parse(began) + duration * 1000;
  assert.ok(Date.parse(began) < span.began && over > span.ended - LATE_MS, `${began} and ${duration} s for ${JSON.stringify(span)}`);

  for (const { name, text } of tracks) {
    await t.test(`${name}: every unit follows the one before`, async (one) => {
      const stretches = split(text);
      // The packager was away for less than the ingest keeps, and no ladder was begun anew: there is nothing to explain.
      assert.deepEqual(text.match(/^#EXT-X-(GAP|DISCONTINUITY)$/gm) ?? [], []);
      for (const { map, segments, seconds } of stretches) {
        const base = `${ringside.http}/live/main/${name}/`;
        const bytes = await Promise.all([map, ...segments].map(async (uri) => Buffer.from(await (await fetch(base + uri)).arrayBuffer())));
        const { timescale, list } = await packets(...bytes);
        const step = name === 'audio' ? AAC_FRAME : timescale / RATE;
        const holes = list.slice(1).filter(({ dts }, index) => dts - list[index].dts !== step);
        one.diagnostic(`${segments.length} segments, ${seconds} s, ${list.length} units, ${holes.length} holes`);
        assert.deepEqual(holes, []);
        assert.ok(Math.abs((list.length * step) / timescale - seconds) < 0.05, 'as long as the playlist says');
      }
    });
  }

  await t.test('ffmpeg decodes all of it without a word', async () => {
    assert.deepEqual(await decode(multivariant), { code: 0, said: '' });
  });

  await t.test('players show it from start to end', async (all) => {
    const [browser, served] = [await launch(), await servePlayers()];
    all.after(async () => { await browser.close(); served.close(); });
    await Promise.all(Object.keys(PLAYERS).map(async (name) => {
      const page = await openPlayer(browser, served, name, multivariant);
      const end = await measure(page);
      await page.waitForFunction(() => window.ringside.video.ended, null, { timeout: (duration + 30) * 1000 }).catch(() => {});
      const { stalls, stalledMs, fatal } = await end();
      const at = await page.evaluate(() => [window.ringside.video.currentTime, window.ringside.video.duration]);
      all.diagnostic(`${name}: at ${at[0].toFixed(2)} of ${at[1].toFixed(2)} s, stood for ${stalledMs} ms`);
      assert.ok(at.every((seconds) => Math.abs(seconds - duration) < 0.2), `${name}: at ${at} of ${duration} s`);
      assert.deepEqual([stalls, fatal, page.complaints], [0, [], []], name);
    }));
  });
});

/** Everything that happens in it; returns when the first picture was seen, and when it was ended. */
async function event(t, ringside) {
  const onAir = async () => (await (await fetch(`${ringside.ops}/api/streams`)).json()).streams[0];
  const shows = (what) => until(what, 20_000, async () => (await onAir()).shown === what);
  const url = await ringside.publish();
  await shows('test');
  await until('a segment', 20_000, async () => /^seg-/m.test(await (await fetch(`${ringside.http}/live/main/360p/dvr.m3u8`)).text()));
  const began = Date.now();
  await pause(4_000);
  const first = encoder(t, url, '640x360', RATE);
  await shows('contribution');
  await pause(4_000);
  first.kill('SIGKILL');
  await shows('slate');
  await pause(2_000);

  const second = encoder(t, url, '480x640', 25);
  await shows('contribution');
  await pause(4_000);
  encoder(t, url, '1280x720', RATE);
  await until('the takeover', 20_000, () => second.exitCode !== null);
  await pause(4_000);
  assert.equal((await onAir()).shown, 'contribution');

  await ringside.packager.stop('SIGKILL');
  await pause(1_000);
  ringside.packager.start();
  await until('the packager', 20_000, async () => (await fetch(`${ringside.http}/live/main/audio/media.m3u8`)).ok);
  await pause(6_000);

  const body = JSON.stringify({ end: 'main' });
  const ended = await fetch(`${ringside.ops}/api/streams/main/end`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  assert.equal(ended.status, 204);
  return { began, ended: Date.now() };
}

function encoder(t, url, size, rate) {
  const child = spawn('ffmpeg', [
    ...['-hide_banner', '-loglevel', 'fatal', '-nostdin', '-re', '-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${rate}`],
    ...['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-c:v', 'libx264', '-preset', 'ultrafast'],
    ...['-tune', 'zerolatency', '-g', '60', '-pix_fmt', 'yuv420p', '-b:v', '1500k', '-c:a', 'aac', '-f', 'flv', url],
  ], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** The playlists of all tracks once they are the recording, and how long it is. */
async function recording(multivariant) {
  const get = async (url) => (await fetch(url)).text();
  const text = await get(multivariant);
  const uris = [...new Set(text.match(/[^"\n]+\/media\.m3u8/g))];
  const tracks = await Promise.all(uris.map(async (uri) => {
    const url = new URL(uri, multivariant);
    await until('the recording', 30_000, async () => /#EXT-X-PLAYLIST-TYPE:VOD[^]*#EXT-X-ENDLIST/.test(await get(url)));
    return { name: uri.split('/')[0], text: await get(url) };
  }));
  assert.equal(tracks.length, 3);
  return { tracks, duration: split(tracks[0].text).reduce((sum, { seconds }) => sum + seconds, 0) };
}

/** Stretches of a playlist without a discontinuity or a gap between their segments. */
function split(text) {
  const stretches = [];
  let map;
  let seconds;
  let fresh = true;
  let gap = false;
  for (const line of text.split('\n')) {
    map = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1] ?? map;
    seconds = Number(/^#EXTINF:([\d.]+)/.exec(line)?.[1] ?? seconds);
    fresh ||= line === '#EXT-X-DISCONTINUITY' || line === '#EXT-X-GAP';
    gap ||= line === '#EXT-X-GAP';
    if (!line || line.startsWith('#')) continue;
    if (!gap) {
      if (fresh) stretches.push({ map, segments: [], seconds: 0 });
      stretches.at(-1).segments.push(line);
      stretches.at(-1).seconds += seconds;
    }
    [fresh, gap] = [gap, false];
  }
  return stretches;
}

/** Every track, decoded to the end. */
function decode(url) {
  const child = spawn('ffmpeg', ['-hide_banner', '-v', 'warning', '-nostdin', '-i', url, '-map', '0', '-f', 'null', '-'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data) => { said += data; });
  return new Promise((resolve) => { child.on('close', (code) => resolve({ code, said })); });
}

async function until(what, ms, reached) {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    if (await Promise.resolve().then(reached).catch(() => false)) return;
    await pause(100);
  }
  throw new Error(`${what}: not within ${ms} ms`);
}
