// An encoder that sends the ladder itself, as a viewer sees it: in, passed through, gone.
// RINGSIDE_BINARY names the server, RINGSIDE_NEW_FFMPEG an ffmpeg that sends several pictures.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, open, untilState } from './browser.mjs';
import { freePorts, Role } from './roles.mjs';

const LADDER = [
  'ladder.passthrough=["main"]',
  'ladder.rungs=[{name="360p",width=640,height=360,bitrate_kbps=800},{name="180p",width=320,height=180,bitrate_kbps=300}]',
];

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
let folder;
let up;
let json;
let browser;
let encoder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringside-passthrough-'));
  const names = [
    'ingest.rtmp', 'ingest.rtmps', 'ingest.srt', 'ingest.multitrack', 'edge.http', 'edge.https', 'ops', 'origin',
    'packager.feed',
  ];
  const ports = await freePorts(names.length);
  up = new Role(process.env.RINGSIDE_BINARY, 'up', [
    `data.dir=${folder}`, ...LADDER, ...names.map((name, n) => `${name}.listen=127.0.0.1:${ports[n]}`),
  ]);
  up.start();
  json = await until('up.json', 30_000, async () => {
    const text = await readFile(join(folder, 'up.json'), 'utf8').catch(() => null);
    return text && JSON.parse(text);
  });
  browser = await launch();
});

after(async () => {
  encoder?.kill('SIGKILL');
  await browser?.close();
  await up?.stop('SIGTERM');
  await rm(folder, { recursive: true, force: true });
});

test('a viewer plays on through both changes', async () => {
  const page = await open(browser, json.watch_url);
  await untilState(page, 'playing', 30_000);
  encoder = publish(`${json.rtmp_server}/${json.stream_key}`);
  await until('passing through', 30_000, async () => (await passage()) === 'passed through');
  await wait(8_000);
  const through = await seen(page);
  assert.equal(through.state, 'playing');
  assert.equal(through.stalls, 0, 'the change is not a stall');
  encoder.kill('SIGKILL');
  await until('nobody', 10_000, async () => (await passage()) === undefined);
  await wait(8_000);
  await untilState(page, 'playing', 10_000);
  const back = await seen(page);
  await wait(2_000);
  const later = await seen(page);
  assert.ok(later.time > back.time + 1.5, `it plays: ${back.time} and ${later.time}`);
  assert.deepEqual(page.complaints, []);
});

const seen = (page) => page.evaluate(() => ({
  state: window.ringside.state(), stalls: window.ringside.stalls, time: document.querySelector('video').currentTime,
}));

async function passage() {
  const { streams } = await (await fetch(`${json.ops_url}/api/streams`)).json();
  return streams[0].contributions[0]?.passage;
}

/** Two pictures of the ladder's sizes and one sound, as an encoder with several tracks sends them. */
function publish(url) {
  return spawn(process.env.RINGSIDE_NEW_FFMPEG, [
    '-hide_banner', '-loglevel', 'error', '-nostdin', '-re', '-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=30',
    '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000',
    '-map', '0:v', '-map', '0:v', '-map', '1:a', '-s:v:1', '320x180',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '60', '-sc_threshold', '0',
    '-pix_fmt', 'yuv420p', '-b:v', '800k', '-c:a', 'aac', '-ac', '2', '-f', 'flv', url,
  ], { stdio: 'ignore' });
}

async function until(what, ms, state) {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    const found = await state();
    if (found) return found;
    await wait(100);
  }
  throw new Error(`not within ${ms} ms: ${what}\n${up}`);
}
