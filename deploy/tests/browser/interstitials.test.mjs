// An operator orders interstitials, and hls.js in Chromium plays them: what is added to one, taken back, and refused.
// RINGSIDE_BINARY names the server.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, open, untilState } from './browser.mjs';
import { bare, serve } from './serve.mjs';

/** Seconds of the asset: two segments of the recording. */
const ASSET_S = 4;

const SPOT = 'spot.m3u8';
const ADS = `http://ads.example/${SPOT}`;

let browser;
let server;
let json;
let asset;

before(async () => { browser = await launch(); });
after(() => browser?.close());
// A page that comes later would still find the interstitials of the tests before it in the window.
beforeEach(async () => {
  server = await serve();
  json = server.json;
  asset = await server.until('a recording', recorded);
});
afterEach(() => server?.stop());

const until = (...all) => server.until(...all);
const place = (path) => new URL(path, json.playlist_url).href;
const media = async () => (await fetch(place('180p/media.m3u8'))).text();

/** Two whole segments of the recording as an event that has ended: playlists by the ends of their names. */
async function recorded() {
  const found = await Promise.all(['180p', 'audio'].map(async (track) => {
    const answer = await fetch(place(`${track}/dvr.m3u8`));
    return { track, text: answer.ok ? await answer.text() : '' };
  }));
  // The first one may be cut short, and what was before a track's first unit is GAP: only what both tracks have whole.
  const whole = ({ text }) => [...text.matchAll(/\n#EXT-X-PROGRAM-DATE-TIME:\S+\n#EXTINF:(\S+),\n(\S+)/g)]
    .filter(([, duration]) => Math.abs(duration - ASSET_S / 2) < 0.1).map(([, , uri]) => uri);
  const [pictures, sounds] = found.map(whole);
  const both = pictures.filter((uri) => sounds.includes(uri)).slice(0, 2);
  if (both.length < 2) return null;
  const multivariant = await (await fetch(json.playlist_url)).text();
  const all = { '': multivariant.replaceAll(/(180p|audio)\/media\.m3u8/g, `${SPOT}?$1`) };
  for (const { track, text } of found) {
    const map = /^#EXT-X-MAP:URI="([^"]+)"/m.exec(text)[1];
    const list = both.map((uri) => `#EXTINF:${ASSET_S / 2},\n${place(`${track}/${uri}`)}\n`);
    all[track] = `#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI="${place(`${track}/${map}`)}"\n${list.join('')}#EXT-X-ENDLIST\n`;
  }
  return all;
}

async function ask(method, path, body) {
  const answer = await fetch(`${json.ops_url}/api/streams/${path}`, {
    method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  return { status: answer.status, ...(answer.status === 202 ? {} : await answer.json()) };
}
const post = (body, stream = 'main') => ask('POST', `${stream}/interstitials`, body);

/** Notes what hls.js does about interstitials, in `window.seen`. */
const note = (hls) => {
  window.seen = [];
  for (const name of ['INTERSTITIAL_STARTED', 'INTERSTITIAL_ASSET_STARTED', 'INTERSTITIAL_ASSET_ERROR', 'INTERSTITIAL_ENDED', 'INTERSTITIALS_PRIMARY_RESUMED']) {
    hls.on(hls.constructor.Events[name], (_, { event }) => window.seen.push({ name, id: event?.identifier, at: performance.now() }));
  }
};
async function happens(page, name, id, seconds) {
  const find = ([wanted, of]) => window.seen.find((one) => one.name === wanted && one.id === of);
  try {
    return await (await page.waitForFunction(find, [name, id], { timeout: seconds * 1_000 })).jsonValue();
  } catch {
    throw new Error(`no ${name} of ${id} within ${seconds} s, but ${JSON.stringify(await page.evaluate(() => window.seen))}`);
  }
}
const fulfil = (route) => {
  const track = /\?(180p|audio)/.exec(route.request().url())?.[1] ?? '';
  const headers = { 'access-control-allow-origin': '*' };
  return route.fulfill({ contentType: 'application/vnd.apple.mpegurl', headers, body: asset[track] });
};

/** An interstitial ahead is played in place of the programme, which then goes on where the asset has ended.
 * With `once`, hls.js has it played by a player of its own wherever it begins, and never by the programme's. */
async function plays(page, id, order) {
  assert.equal((await post({ id, in_s: 4, duration_s: ASSET_S, cue: ['once'], ...order })).status, 202);
  const began = await happens(page, 'INTERSTITIAL_ASSET_STARTED', id, 20);
  const ended = await happens(page, 'INTERSTITIAL_ENDED', id, 15);
  const lasted = (ended.at - began.at) / 1_000;
  assert.ok(Math.abs(lasted - ASSET_S) < 1.5, `the asset of ${ASSET_S} s took ${lasted} s: ${JSON.stringify(await page.evaluate(() => window.seen))}`);
  const at = () => page.evaluate(() => document.querySelector('video').currentTime);
  const from = await at();
  await page.waitForFunction((time) => document.querySelector('video').currentTime > time + 3, from, { timeout: 15_000 });
  assert.deepEqual(await page.evaluate(() => window.seen.filter(({ name }) => name === 'INTERSTITIAL_ASSET_ERROR')), []);
}

test('hls.js plays an asset of another host, and forgets what is taken back', { timeout: 120_000 }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  await context.route(`${ADS}*`, fulfil);
  const page = await bare(context, json.playlist_url);
  await page.evaluate(`(${note})(window.hls)`);
  await plays(page, 'spot-1', { asset_uri: ADS, restrict: ['skip', 'jump'], timeline_occupies: 'range' });
  assert.ok(page.requested.some((url) => url.startsWith(ADS) && url.includes('_HLS_primary_id=')));

  const knows = (id, wanted) => page.waitForFunction(
    ([of, is]) => Boolean(window.hls.latestLevelDetails?.dateRanges[of]) === is, [id, wanted], { timeout: 15_000 },
  );
  await until('enough to skip', async () => (await media()).split('#EXTINF').length > 10, 40);
  assert.equal((await post({ id: 'spot-2', in_s: 60, duration_s: ASSET_S, asset_uri: ADS })).status, 202);
  await knows('spot-2', true);
  assert.equal((await ask('PATCH', 'main/interstitials/spot-2', { snap: ['out'] })).status, 202);
  await page.waitForFunction(() => window.hls.latestLevelDetails.dateRanges['spot-2'].attr['X-SNAP'] === 'OUT', null, { timeout: 15_000 });
  assert.equal((await ask('DELETE', 'main/interstitials/spot-2')).status, 202);
  await knows('spot-2', false);
  assert.ok(page.requested.some((url) => url.includes('_HLS_skip=v2')), 'by delta updates');
  assert.deepEqual(await page.evaluate(() => window.failures), []);
});

test('the watch page plays an asset of its own host', { timeout: 120_000 }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const own = place('/spot.m3u8');
  await context.route(`${own}*`, fulfil);
  const page = await open(context, json.watch_url);
  await untilState(page, 'playing', 30_000);
  await page.evaluate(`(${note})(window.ringside.hls)`);
  await plays(page, 'spot-3', { asset_uri: own });
  // hls.js takes its text tracks along with a track of no cues; the page's policy refuses that one, and nothing is lost.
  assert.deepEqual(page.complaints.filter((text) => !text.includes("'data:,WEBVTT'")), []);
});

test('what does not fit is said field by field, and nothing said before changes', async () => {
  const good = { duration_s: ASSET_S, asset_uri: ADS };
  const bad = await post({ id: 'a b', asset_uri: '/spot.m3u8', cue: ['pre', 'post'] });
  assert.deepEqual([bad.status, Object.keys(bad.fields)], [400, ['asset_uri', 'cue', 'duration_s', 'id']]);
  assert.equal((await post({ id: 'a', ...good, snap: ['both'] })).status, 422);
  assert.equal((await post({ id: 'a', ...good }, 'ghost')).status, 404);
  assert.equal((await ask('DELETE', 'main/interstitials/a')).status, 404);
  assert.equal((await post({ id: 'a', in_s: 0, ...good })).status, 202);
  assert.equal((await post({ id: 'a', in_s: 9, ...good })).status, 409);
  const says = (line) => until(line, async () => (await media()).includes(line));
  await says('ID="a",CLASS="com.apple.hls.interstitial"');
  assert.equal((await ask('PATCH', 'main/interstitials/a', { playout_limit_s: 3 })).status, 202);
  await says(`X-ASSET-URI="${ADS}",X-PLAYOUT-LIMIT=3.000\n`);
  assert.equal((await ask('PATCH', 'main/interstitials/a', { playout_limit_s: 2 })).status, 409);
  assert.equal((await ask('DELETE', 'main/interstitials/a')).status, 409);
  await until('it in the recording', async () => (await (await fetch(place('180p/dvr.m3u8'))).text()).includes('X-PLAYOUT-LIMIT=3.000'));
});
