// Players that are not ours, each on a page of its own, as a site of another origin would embed it.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { open } from './browser.mjs';
import { percentile, readPictureClock } from './clock.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What is not as it comes, and the file that is all of the player. */
export const PLAYERS = {
  'hls.js': { set: 'nothing', library: 'hls.js/dist/hls.min.js' },
  shaka: { set: '`streaming.lowLatencyMode`, `abr.enabled` off', library: 'shaka-player/dist/shaka-player.compiled.js' },
  'video.js': { set: '`html5.vhs.llhls`', library: 'video.js/dist/video.min.js' },
};

/** Serves the pages on a loopback port. Returns `page(name, playlist)`, which is an address, and `close()`. */
export async function servePlayers() {
  const server = createServer((request, response) => {
    answer(request).then(({ type, body }) => response.writeHead(200, { 'content-type': type }).end(body), () => response.writeHead(404).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = `http://127.0.0.1:${server.address().port}`;
  const page = (name, playlist) => `${at}/${name}?playlist=${encodeURIComponent(playlist)}`;
  return { page, close: () => { server.close(); server.closeAllConnections(); } };
}

async function answer({ url, headers }) {
  const { pathname } = new URL(url, 'http://localhost');
  if (pathname === '/favicon.ico') return { type: 'image/x-icon', body: '' };
  if (pathname === '/begin.js') return { type: 'text/javascript', body: await readFile(here('players/begin.js')) };
  if (pathname === '/library.js') {
    const { library } = PLAYERS[new URL(headers.referer).pathname.slice(1)];
    return { type: 'text/javascript', body: await readFile(here(`node_modules/${library}`)) };
  }
  const name = pathname.slice(1);
  if (!Object.hasOwn(PLAYERS, name)) throw new Error(`no page ${pathname}`);
  return { type: 'text/html', body: await readFile(here(`players/${name}.html`)) };
}

/** Opens a player's page. `page.answers` is what it was answered under `/live/`: `{ url, status, asked, available }`, Unix ms. */
export async function openPlayer(browser, served, name, playlist) {
  const page = await open(browser, 'about:blank');
  page.answers = [];
  page.on('requestfinished', async (request) => {
    if (!request.url().includes('/live/')) return;
    // A page that closes takes what it was answered with it.
    const response = await request.response().catch(() => null);
    const available = Number(response?.headers()['ringside-available'] ?? 0) / 1000;
    page.answers.push({ url: request.url(), status: response?.status(), asked: request.timing().startTime, available });
  });
  await page.goto(served.page(name, playlist), { waitUntil: 'domcontentloaded' });
  await page.waitForFunction(() => window.ringside?.firstPictureMs, null, { timeout: 30_000 }).catch(async () => {
    const said = await page.evaluate(() => [...(window.ringside?.notes ?? []), window.ringside?.video.currentTime]);
    throw new Error(`${name} shows nothing: ${JSON.stringify([said, page.complaints, page.answers.slice(-6)])}`);
  });
  return page;
}

/** Parts that were asked for before they were there, as only a preload hint tells of them. */
export function hinted(page) {
  const AHEAD_MS = 50;
  return page.answers.filter(({ url, status, asked, available }) => /\/part-\d+\.m4s$/.test(url) && status === 200 && available - asked > AHEAD_MS);
}

/** Begins to measure what is shown. What it returns ends that and tells what was seen, from the picture, in milliseconds. */
export async function measure(page) {
  if (!await page.evaluate(() => Boolean(window.pictureClock))) await page.evaluate(readPictureClock);
  const { frames, unreadable, samples, stalls } = await page.evaluate(() => window.pictureClock);
  return async () => {
    const clock = await page.evaluate(() => window.pictureClock);
    const said = await page.evaluate(() => ({ ...window.ringside, video: undefined, player: undefined }));
    const latencies = clock.samples.slice(samples.length);
    const stood = clock.stalls.slice(stalls.length);
    const third = Math.floor(latencies.length / 3);
    const middle = (list) => percentile(list, 0.5);
    return {
      ...said,
      frames: clock.frames - frames,
      unreadable: clock.unreadable - unreadable,
      p50: middle(latencies),
      p99: percentile(latencies, 0.99),
      drift: middle(latencies.slice(-third)) - middle(latencies.slice(0, third)),
      // Where the picture stood for 300 ms or longer.
      stalls: stood.length,
      stalledMs: stood.reduce((sum, { ms }) => sum + ms, 0),
    };
  };
}
