// hls.js in Chromium asks the steering server that playlists name, and moves to the host this one prefers.
// RINGSIDE_BINARY names the server of the playlists.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch } from './browser.mjs';
import { bare, serve } from './serve.mjs';

test('hls.js goes to the pathway that the steering server prefers', { timeout: 120_000 }, async (t) => {
  const server = await serve('packager.steering.server_uri=/steer.json', 'packager.steering.pathway=cdn-a');
  t.after(() => server.stop());
  const browser = await launch();
  t.after(() => browser.close());
  // Chromium asks the user before a page may reach another host on this machine.
  const context = await browser.newContext({ permissions: ['local-network-access'] });
  const { playlist_url: url } = server.json;
  const other = new URL(url);
  other.hostname = 'localhost';
  const asked = [];
  await context.route('**/steer.json*', (route) => {
    asked.push(new URL(route.request().url()).searchParams.get('_HLS_pathway'));
    const clone = { 'BASE-ID': 'cdn-a', ID: 'cdn-b', 'URI-REPLACEMENT': { HOST: 'localhost' } };
    return route.fulfill({ json: { VERSION: 1, TTL: 300, 'PATHWAY-PRIORITY': ['cdn-b', 'cdn-a'], 'PATHWAY-CLONES': [clone] } });
  });
  const page = await bare(context, url);
  const plays = (host) => page.waitForFunction((wanted) => window.hls.levels[window.hls.currentLevel]?.url[0].includes(wanted), host, { timeout: 30_000 });
  await plays(other.host);
  assert.deepEqual(asked, ['cdn-a']);
  const from = await page.evaluate(() => document.querySelector('video').currentTime);
  await page.waitForFunction((time) => document.querySelector('video').currentTime > time + 5, from, { timeout: 20_000 });
  const latest = page.requested.filter((one) => one.includes('.m4s')).slice(-4);
  assert.ok(latest.every((one) => one.startsWith(other.origin)), latest.join('\n'));
  assert.deepEqual(await page.evaluate(() => window.failures), []);
});
