// Encrypted streams in Chromium, through several keys: AES-128 on the watch page, and cbcs with Clear Key by hls.js.
// RINGSIDE_BINARY names the server.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, open, untilState } from './browser.mjs';
import { freePorts, Role } from './roles.mjs';

const HLS = fileURLToPath(new URL('../../../fanout/player/node_modules/hls.js/dist/hls.min.js', import.meta.url));
const RUNGS = 'ladder.rungs=[{name="180p",width=320,height=180,bitrate_kbps=300}]';
const NAMES = ['ingest.rtmp', 'ingest.rtmps', 'ingest.srt', 'ingest.multitrack', 'edge.http', 'edge.https', 'ops', 'origin', 'packager.feed'];

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A server with its own keys, one for three segments of two seconds. */
async function serve(t, method, ...more) {
  const folder = await mkdtemp(join(tmpdir(), 'ringside-encryption-'));
  const ports = await freePorts(NAMES.length);
  const server = new Role(process.env.RINGSIDE_BINARY, 'up', [
    `data.dir=${folder}`, RUNGS, ...NAMES.map((name, n) => `${name}.listen=127.0.0.1:${ports[n]}`),
    `packager.encryption.method=${method}`, 'packager.encryption.master_secret=0123456789abcdef0123456789abcdef',
    'packager.encryption.rotate_segments=3', 'packager.encryption.serve_keys=true', ...more,
  ]);
  server.start();
  t.after(async () => {
    await server.stop('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  });
  const deadline = Date.now() + 30_000;
  for (;;) {
    const text = await readFile(join(folder, 'up.json'), 'utf8').catch(() => null);
    if (text) return JSON.parse(text);
    assert.ok(Date.now() < deadline, `not within 30 s: up.json\n${server}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

const keys = (page) => new Set(page.requested.filter((url) => /\/key-[0-9a-f]{32}$/.test(url)));

/** Waits until so many seconds more have been played. */
async function playsThrough(page, seconds) {
  const from = await page.evaluate(() => document.querySelector('video').currentTime);
  await page.waitForFunction(
    (wanted) => document.querySelector('video').currentTime > wanted, from + seconds, { timeout: seconds * 1_000 + 10_000 },
  );
}

test('the watch page plays AES-128 through several keys', { timeout: 120_000 }, async (t) => {
  const json = await serve(t, 'aes-128');
  const page = await open(browser, json.watch_url);
  t.after(() => page.close());
  await untilState(page, 'playing', 30_000);
  await playsThrough(page, 14);
  assert.ok(keys(page).size >= 3, `keys asked for: ${[...keys(page)]}`);
  assert.equal(await page.evaluate(() => window.ringside.stalls), 0);
  assert.ok(await page.evaluate(() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 200));
  assert.deepEqual(page.complaints, []);
});

test('hls.js plays SAMPLE-AES with Clear Key through several keys', { timeout: 120_000 }, async (t) => {
  const json = await serve(t, 'sample-aes', 'packager.encryption.key_format=org.w3.clearkey');
  const { origin } = new URL(json.playlist_url);
  const context = await browser.newContext();
  t.after(() => context.close());
  await context.route('**/clear-key.html', (route) => route.fulfill({ contentType: 'text/html', body: '<video muted></video>' }));
  const licences = new Set();
  await context.route('**/licence', async (route) => {
    const { kids } = route.request().postDataJSON();
    const of = async (kid) => {
      const hex = Buffer.from(kid, 'base64url').toString('hex');
      licences.add(hex);
      const answer = await fetch(`${origin}/live/main/key-${hex}`);
      assert.equal(answer.status, 200, hex);
      return { kty: 'oct', kid, k: Buffer.from(await answer.arrayBuffer()).toString('base64url') };
    };
    await route.fulfill({ json: { keys: await Promise.all(kids.map(of)), type: 'temporary' } });
  });
  const page = await open(context, `${origin}/clear-key.html`);
  await page.addScriptTag({ path: HLS });
  await page.evaluate((url) => {
    window.failures = [];
    const { Hls } = window;
    // hls.js 1.7.4 reads the ids in a pssh for other systems only, and takes the first key of the playlist for any: so it
    // is told to ask by KEYID.
    const generateRequest = (type, data, { decryptdata: { keyId } }) => {
      const kid = btoa(String.fromCharCode(...keyId)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
      return { initDataType: 'keyids', initData: new TextEncoder().encode(JSON.stringify({ kids: [kid] })).buffer };
    };
    const drmSystems = { 'org.w3.clearkey': { licenseUrl: '/licence', generateRequest } };
    const hls = new Hls({ emeEnabled: true, lowLatencyMode: true, drmSystems });
    hls.on(Hls.Events.ERROR, (_, { fatal, details, error }) => fatal && window.failures.push(`${details}: ${error}`));
    const video = document.querySelector('video');
    hls.loadSource(url);
    hls.attachMedia(video);
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  }, json.playlist_url);
  await page.waitForFunction(() => window.failures.length > 0 || document.querySelector('video').currentTime > 0, null, { timeout: 30_000 });
  assert.deepEqual(await page.evaluate(() => window.failures), []);
  await page.waitForFunction(() => document.querySelector('video').readyState >= 3, null, { timeout: 10_000 });
  await playsThrough(page, 14);
  assert.deepEqual(await page.evaluate(() => window.failures), []);
  assert.ok(licences.size >= 3, `keys asked for: ${[...licences]}`);
  assert.equal(await page.evaluate(() => document.querySelector('video').mediaKeys !== null), true);
  assert.ok(await page.evaluate(() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 200));
});
