// The edge's gate in Chromium: the watch page carries its token on, and reports how it plays. RINGSIDE_BINARY names the server.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch, open, untilState } from './browser.mjs';
import { freePorts, Role } from './roles.mjs';

const RUNGS = 'ladder.rungs=[{name="180p",width=320,height=180,bitrate_kbps=300}]';
const NAMES = ['ingest.rtmp', 'ingest.rtmps', 'ingest.srt', 'ingest.multitrack', 'edge.http', 'edge.https', 'ops', 'origin', 'packager.feed'];

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A server, and what `ringside token` says on its keys. */
async function serve(t, ...more) {
  const folder = await mkdtemp(join(tmpdir(), 'ringside-gate-'));
  const ports = await freePorts(NAMES.length);
  const settings = [`data.dir=${folder}`, ...NAMES.map((name, n) => `${name}.listen=127.0.0.1:${ports[n]}`)];
  const server = new Role(process.env.RINGSIDE_BINARY, 'up', [RUNGS, ...settings, ...more]);
  server.start();
  t.after(async () => {
    await server.stop('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  });
  const token = async (...words) => {
    const set = settings.flatMap((pair) => ['--set', pair]);
    return (await promisify(execFile)(process.env.RINGSIDE_BINARY, ['token', ...words, ...set])).stdout;
  };
  const deadline = Date.now() + 30_000;
  for (;;) {
    const text = await readFile(join(folder, 'up.json'), 'utf8').catch(() => null);
    if (text) return { ...JSON.parse(text), token };
    assert.ok(Date.now() < deadline, `not within 30 s: up.json\n${server}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

const until = async (what, is) => {
  const deadline = Date.now() + 30_000;
  while (!await is()) {
    assert.ok(Date.now() < deadline, what);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
};

test('the watch page plays with the token in its address, and is counted as one viewer', { timeout: 120_000 }, async (t) => {
  const up = await serve(t);
  await up.token('key', 'new');
  await until('the edge asks for tokens', async () => (await fetch(up.playlist_url)).status === 403);
  const signed = await up.token('sign', '--stream', 'main', '--expires', '10m');
  const watch = /^Watch +(\S+)$/m.exec(signed)[1];
  const page = await open(browser, watch);
  t.after(() => page.close());
  await untilState(page, 'playing', 30_000);
  const media = page.requested.filter((url) => new URL(url).pathname.includes('/live/'));
  assert.ok(media.length > 3 && media.every((url) => new URL(url).pathname.startsWith('/t/')), media.join('\n'));
  assert.ok(media.every((url) => !url.includes('CMCD')), 'reports are not in addresses');
  const viewers = async () => (await fetch(new URL('/api/edge/viewers', up.ops_url))).json();
  await until('a viewer is counted', async () => (await viewers()).streams.length > 0);
  assert.deepEqual((await viewers()).streams.map(({ stream, viewers: count }) => [stream, count]), [['main', 1]]);
  const metrics = async () => (await fetch(new URL('/metrics', up.ops_url))).text();
  await until('its buffer and its distance are told', async () => {
    const text = await metrics();
    return ['buffer', 'latency'].every((what) => new RegExp(`^ringside_edge_player_${what}_seconds_count [1-9]`, 'm').test(text));
  });
  assert.deepEqual(page.complaints, []);
});

test('a page of a server that wants no reports makes none', { timeout: 120_000 }, async (t) => {
  const up = await serve(t, 'edge.telemetry=false');
  const page = await open(browser, up.watch_url);
  t.after(() => page.close());
  await untilState(page, 'playing', 30_000);
  await page.waitForFunction(() => document.querySelector('video').currentTime > 3, null, { timeout: 30_000 });
  assert.deepEqual(page.requested.filter((url) => url.includes('/cmcd')), []);
});
