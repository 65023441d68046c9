// Cues sent to the operators' port are shown by hls.js in Chromium, at the edge, live and from the recording.
// RINGSIDE_BINARY names the server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { bare, serve } from './serve.mjs';

let browser;
let server;

before(async () => {
  browser = await launch();
  server = await serve('packager.subtitles=[{name="en",language="en",label="English",default=true}]');
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function post(body, headers = {}, name = 'en') {
  const answer = await fetch(`${server.json.ops_url}/api/streams/main/subtitles/${name}`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.status, ...await answer.json() };
}
const iso = (ms) => new Date(ms).toISOString();
const place = (path) => new URL(path, server.json.playlist_url).href;

/** Program time of the picture that is shown, milliseconds, and its place on the page's timeline, seconds. */
const now = (page) => page.evaluate(() => ({ date: window.hls.playingDate.getTime(), at: document.querySelector('video').currentTime }));

/** The page's cues with a text, once there is one. */
async function cues(page, text, seconds) {
  const find = (wanted) => {
    const tracks = [...document.querySelector('video').textTracks];
    const found = tracks.flatMap((track) => [...track.cues ?? []]).filter((cue) => cue.text === wanted);
    return found.length > 0 && found.map(({ startTime, endTime }) => ({ startTime, endTime }));
  };
  return (await page.waitForFunction(find, text, { timeout: seconds * 1_000 })).jsonValue();
}

test('a cue is shown at its time, once, however many segments it is in', { timeout: 120_000 }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await bare(context, server.json.playlist_url);
  await page.waitForFunction(() => window.hls.subtitleTracks.length === 1 && window.hls.playingDate);
  assert.deepEqual(await page.evaluate(() => window.hls.subtitleTracks.map(({ name, lang }) => [name, lang])), [['English', 'en']]);
  await page.evaluate(() => { window.hls.subtitleTrack = 0; });
  const begun = await now(page);
  const start = begun.date + 8_000;
  const sent = await post([
    { start: iso(start), end: iso(start + 5_000), text: 'over several segments' },
    { start: iso(start + 250), end: iso(start + 750), text: 'short', settings: 'line:0' },
  ]);
  assert.deepEqual(sent, { status: 202, added: 2 });
  const file = `WEBVTT\n\n00:01.000 --> 00:01.500\nof a file\n`;
  assert.equal((await post(file, { 'content-type': 'text/vtt', 'ringside-offset': iso(start) })).status, 202);
  for (const [text, from, to] of [['over several segments', 0, 5], ['short', 0.25, 0.75], ['of a file', 1, 1.5]]) {
    const found = await cues(page, text, 20);
    const after = await now(page);
    const zero = (start - after.date) / 1_000 + after.at;
    assert.equal(found.length, 1, text);
    const off = [found[0].startTime - zero - from, found[0].endTime - zero - to];
    t.diagnostic(`${text}: ${off.map((s) => (s * 1_000).toFixed(0))} ms off`);
    assert.ok(off.every((s) => Math.abs(s) < 0.1), `${text}: ${off}`);
  }
  await page.waitForFunction(() => [...document.querySelector('video').textTracks].some(
    (track) => [...track.activeCues ?? []].some((cue) => cue.text === 'over several segments'),
  ), null, { timeout: 15_000 });
  await page.waitForFunction((time) => document.querySelector('video').currentTime > time, begun.at + 14, { timeout: 20_000 });
  assert.equal((await cues(page, 'over several segments', 1)).length, 1, 'after the last segment, too');
  assert.ok(page.requested.some((url) => /subs-en\/media\.m3u8\?.*_HLS_msn=\d+(?!.*_HLS_part)/.test(url)), 'by blocking reloads');
  assert.deepEqual(await page.evaluate(() => window.failures), []);

  // The same times in the recording.
  const rewound = await bare(context, place('dvr.m3u8'));
  await rewound.waitForFunction(() => window.hls.subtitleTracks.length === 1 && window.hls.playingDate);
  await rewound.evaluate(() => { window.hls.subtitleTrack = 0; });
  const there = await now(rewound);
  await rewound.evaluate((time) => { document.querySelector('video').currentTime = time; }, (start - there.date) / 1_000 + there.at - 1);
  const [found] = await cues(rewound, 'over several segments', 20);
  const shown = await now(rewound);
  const off = found.startTime - ((start - shown.date) / 1_000 + shown.at);
  assert.ok(Math.abs(off) < 0.1, `${off} s off in the recording`);
});

test('what does not fit is said, and nothing of it is taken', async () => {
  const soon = Date.now() + 60_000;
  const cue = { start: iso(soon), end: iso(soon + 1_000), text: 'a' };
  const bad = await post([cue, { ...cue, text: 'a --> b' }, { ...cue, end: iso(soon - 1), settings: 'colour:red' }]);
  assert.deepEqual([bad.status, bad.mistakes.length], [400, 3]);
  assert.equal((await post([{ ...cue, start: 'soon' }])).status, 400);
  assert.equal((await post([])).status, 400);
  assert.equal((await post(Array(513).fill(cue))).status, 400);
  const late = await post([cue, { ...cue, start: iso(soon - 120_000), end: iso(soon - 110_000) }]);
  assert.deepEqual([late.status, late.late], [409, [1]]);
  assert.equal((await post([cue], {}, 'fr')).status, 404);
  assert.equal((await post([cue], { 'content-type': 'text/plain' })).status, 415);
  assert.deepEqual(await post([cue]), { status: 202, added: 1 });
  assert.deepEqual(await post([cue]), { status: 202, added: 0 }, 'sent again');
});
