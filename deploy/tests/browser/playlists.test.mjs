// The playlists and media of the running stream, judged by parsers that are not ours.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import HLS from 'hls-parser';
import { Parser } from 'm3u8-parser';
import { up } from './browser.mjs';
import { packets } from './media.mjs';

const multivariant = { url: '', text: '' };
const tracks = [];

before(async () => {
  multivariant.url = (await up()).playlist_url;
  multivariant.text = await text(multivariant.url);
  const { variants } = HLS.parse(multivariant.text);
  const renditions = variants.flatMap(({ audio }) => audio).filter(({ uri }) => uri);
  const found = [...variants.map(({ uri }) => ({ uri, kind: 'video' })), ...renditions.map(({ uri }) => ({ uri, kind: 'audio' }))];
  for (const { uri, kind } of found) {
    const url = new URL(uri, multivariant.url).href;
    if (!tracks.some((track) => track.url === url)) tracks.push({ url, kind, name: uri });
  }
  // One held request per track, all for the same part: so that every playlist is of the same moment.
  const first = HLS.parse(await text(tracks[0].url));
  const msn = first.mediaSequenceBase + first.segments.length;
  await Promise.all(tracks.map(async (track) => (track.text = await text(`${track.url}?_HLS_msn=${msn}&_HLS_part=1`))));
});

test('hls-parser accepts every playlist in strict mode', (t) => {
  HLS.setOptions({ strictMode: true });
  t.after(() => HLS.setOptions({ strictMode: false }));
  for (const playlist of [multivariant, ...tracks]) {
    assert.doesNotThrow(() => HLS.parse(playlist.text), `${playlist.url}\n${playlist.text}`);
  }
});

test('m3u8-parser has nothing to warn of', () => {
  for (const playlist of [multivariant, ...tracks]) {
    const warnings = [];
    const parser = new Parser();
    parser.on('warn', ({ message }) => warnings.push(message));
    parser.push(playlist.text);
    parser.end();
    assert.deepEqual(warnings, [], `${playlist.url}\n${playlist.text}`);
  }
});

test('every track lists the same cells in the same segments', () => {
  assert.ok(tracks.length >= 2, `only ${tracks.length} tracks`);
  const [expected, ...others] = common(tracks.map(({ text: playlist }) => cells(playlist)), ([, cell]) => cell);
  assert.ok(expected.length >= 4, `only ${expected.length} parts in common`);
  others.forEach((found, index) => assert.deepEqual(found, expected, tracks[index + 1].name));
  const dates = tracks.map(({ text: playlist }) => HLS.parse(playlist).segments.map(({ programDateTime }) => Boolean(programDateTime)));
  for (const list of dates) assert.ok(list.every(Boolean), 'a segment without PROGRAM-DATE-TIME');
});

test('the media runs on without a gap, and key frames are at the same instants', { timeout: 60_000 }, async () => {
  const media = await Promise.all(tracks.map(async (track) => ({ ...track, ...(await packets(...(await bytes(track)))) })));
  for (const { name, kind, timescale, list } of media) {
    const ticks = list.map(({ dts }) => dts);
    const steps = new Set(ticks.slice(1).map((dts, index) => dts - ticks[index]));
    assert.ok(list.length > 10, `${name}: only ${list.length} packets`);
    assert.equal(steps.size, 1, `${name}: steps of ${[...steps].join(', ')} / ${timescale}`);
    const [step] = steps;
    assert.ok(step > 0, `${name}: time stands still`);
    if (kind === 'audio') assert.equal(step / timescale, 1024 / 48_000, name);
    const presented = list.map(({ pts }) => pts).sort((a, b) => a - b);
    assert.ok(presented.slice(1).every((pts, index) => pts - presented[index] === step), `${name}: a gap in presentation`);
  }
  const frames = media
    .filter(({ kind }) => kind === 'video')
    .map(({ list, timescale }) => list.map(({ pts, key }) => ({ at: Math.round((pts / timescale) * 1e5), key })));
  const [expected, ...others] = common(frames, ({ at }) => at).map((list) => list.filter(({ key }) => key).map(({ at }) => at));
  assert.ok(expected.length > 1, `only ${expected.length} key frames`);
  for (const other of others) assert.deepEqual(other, expected);
});

/** What lies in the range that all lists cover: an answer may have come one part later than another. */
function common(lists, position) {
  const low = Math.max(...lists.map((list) => position(list[0])));
  const high = Math.min(...lists.map((list) => position(list.at(-1))));
  return lists.map((list) => list.filter((item) => position(item) >= low && position(item) <= high));
}

/** `[media sequence number, cell number]` of every listed part. */
function cells(playlist) {
  let msn = Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(playlist)?.[1] ?? 0);
  const found = [];
  for (const line of playlist.split('\n')) {
    const part = /^#EXT-X-PART:.*URI="[^"]*part-(\d+)\.m4s"/.exec(line);
    if (part) found.push([msn, Number(part[1])]);
    else if (line && !line.startsWith('#')) msn += 1;
  }
  return found;
}

/** The initialization segment and every listed part of a track. */
async function bytes({ url, text: playlist }) {
  const init = /^#EXT-X-MAP:.*URI="([^"]+)"/m.exec(playlist)[1];
  const parts = [...playlist.matchAll(/^#EXT-X-PART:.*URI="([^"]+)"/gm)].map(([, uri]) => uri);
  return Promise.all([init, ...parts].map((uri) => buffer(new URL(uri, url).href)));
}

async function text(url) {
  return (await get(url)).text();
}

async function buffer(url) {
  return Buffer.from(await (await get(url)).arrayBuffer());
}

async function get(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(20_000) });
  assert.equal(response.status, 200, url);
  return response;
}
