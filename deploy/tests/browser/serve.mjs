// A whole ringside of a test's own, with one small rung, and hls.js on a bare page beside it.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { open } from './browser.mjs';
import { freePorts, Role } from './roles.mjs';

const HLS = fileURLToPath(new URL('../../../fanout/player/node_modules/hls.js/dist/hls.min.js', import.meta.url));
const RUNGS = 'ladder.rungs=[{name="180p",width=320,height=180,bitrate_kbps=300}]';
const NAMES = ['ingest.rtmp', 'ingest.rtmps', 'ingest.srt', 'ingest.multitrack', 'edge.http', 'edge.https', 'ops', 'origin', 'packager.feed'];

/** Starts it; `json` is its up.json, `until` waits for what it comes to, and `stop` ends it. */
export async function serve(...set) {
  const folder = await mkdtemp(join(tmpdir(), 'ringside-browser-'));
  const ports = await freePorts(NAMES.length);
  const server = new Role(process.env.RINGSIDE_BINARY, 'up', [
    `data.dir=${folder}`, RUNGS, ...NAMES.map((name, n) => `${name}.listen=127.0.0.1:${ports[n]}`), ...set,
  ]);
  server.start();
  const stop = async () => {
    await server.stop('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  };
  const until = async (what, ask, seconds = 30) => {
    const deadline = Date.now() + seconds * 1_000;
    for (;;) {
      const answer = await ask();
      if (answer) return answer;
      assert.ok(Date.now() < deadline, `not within ${seconds} s: ${what}\n${server}`);
      await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
  };
  try {
    const json = await until('up.json', async () => {
      const text = await readFile(join(folder, 'up.json'), 'utf8').catch(() => null);
      return text && JSON.parse(text);
    });
    return { json, until, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Has hls.js play an address on a page that is nothing but a video: `window.hls`, and in `window.failures` what is fatal. */
export async function bare(context, url) {
  await context.route('**/bare.html', (route) => route.fulfill({ contentType: 'text/html', body: '<video muted></video>' }));
  const page = await open(context, new URL('/bare.html', url).href);
  await page.addScriptTag({ path: HLS });
  await page.evaluate((source) => {
    const hls = new window.Hls({ lowLatencyMode: true });
    Object.assign(window, { hls, failures: [] });
    hls.on('hlsError', (_, { fatal, details, error }) => fatal && window.failures.push(`${details}: ${error}`));
    const video = document.querySelector('video');
    hls.loadSource(source);
    hls.attachMedia(video);
    hls.on('hlsManifestParsed', () => video.play());
  }, url);
  await page.waitForFunction(() => document.querySelector('video').currentTime > 0 && document.querySelector('video').readyState >= 3, null, { timeout: 30_000 });
  return page;
}
