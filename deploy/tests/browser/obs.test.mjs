// OBS against `ringside up`: killed and back, wrong keys, SRT with a passphrase, and a server that restarts.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { launch, open, shot, untilState } from './browser.mjs';
import { Obs, untilOnAir } from './obs.mjs';
import { untilPicture } from './pictures.mjs';
import { freePorts, Role } from './roles.mjs';

const PASSPHRASE = 'a-long-way-from-home';
/** OBS waits 2 s before it tries again, and makes a connection. */
const BACK_MS_MAX = 3_000;

async function stage(t) {
  const folder = await mkdtemp(join(tmpdir(), 'ringside-obs-'));
  const [websocket, rtmp, rtmps, srt, http, https, ops, origin, feed] = await freePorts(9);
  const ports = { 'ingest.rtmp': rtmp, 'ingest.rtmps': rtmps, 'ingest.srt': srt, 'edge.http': http, 'edge.https': https, ops, origin, 'packager.feed': feed };
  const listen = Object.entries(ports).map(([name, port]) => `${name}.listen=127.0.0.1:${port}`);
  const up = new Role(process.env.RINGSIDE_BINARY, 'up', [`data.dir=${folder}/up`, `ingest.srt.passphrase="${PASSPHRASE}"`, ...listen]);
  const killUp = () => up.kill();
  process.once('exit', killUp);
  t.after(async () => {
    await up.stop('SIGKILL');
    process.off('exit', killUp);
    await rm(folder, { recursive: true, force: true });
  });
  up.start();
  const json = join(folder, 'up/up.json');
  return { up, json, ...(await untilJson(json, up)), srt, obs: new Obs(t, folder, websocket) };
}

async function untilJson(file, up) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text) return JSON.parse(text);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  throw new Error(`ringside did not come up\n${up}`);
}

test('OBS comes, is killed and comes back, while one viewer watches', { timeout: 120_000 }, async (t) => {
  const { json, obs, rtmp_server: server, stream_key: key, watch_url, playlist_url } = await stage(t);
  const browser = await launch();
  t.after(() => browser.close());
  const page = await open(browser, watch_url);
  let loads = 1;
  page.on('load', () => { loads += 1; });
  await untilState(page, 'playing', 20_000);
  const first = await sequence(playlist_url);
  const sees = async (name, number) => {
    await untilPicture(page, name, 40_000);
    await shot(page, `${number}-${name}`);
  };
  await sees('test', 1);
  await obs.start({ server, key });
  await sees('obs', 2);
  obs.kill();
  await untilOnAir(json, 'slate');
  await sees('slate', 3);
  await obs.start({ server, key });
  await sees('obs', 4);
  const last = await sequence(playlist_url);
  assert.ok(last.msn >= first.msn, `MSN went from ${first.msn} to ${last.msn}`);
  assert.ok(!last.text.includes('#EXT-X-DISCONTINUITY\n'), last.text);
  assert.ok(loads <= 2, 'the page was loaded again');
  assert.equal(await page.evaluate(() => window.ringside.stalls), 0, 'stalls');
  assert.deepEqual(page.complaints, []);
});

test('OBS is refused or let in over RTMP and SRT, and finds a restarted server again', { timeout: 120_000 }, async (t) => {
  const { up, json, obs, srt, rtmp_server: server, stream_key: key } = await stage(t);
  const active = ({ outputActive, outputReconnecting }) => outputActive && !outputReconnecting;
  const call = (id, passphrase) => `srt://127.0.0.1:${srt}?mode=caller&latency=200000&streamid=${id}&passphrase=${encodeURIComponent(passphrase)}`;
  await obs.start();

  await obs.publish(server, 'not-the-key');
  await obs.untilRefused();
  assert.match(String(up), /unknown stream key/);

  for (const [id, passphrase] of [[key, 'another-passphrase'], ['not-the-key', PASSPHRASE]]) {
    await obs.publish(call(id, passphrase), '');
    await obs.untilRefused();
    // One that tries again is not to be stopped in between.
    obs.kill();
    await obs.start();
  }
  await obs.publish(call(`#!::m=publish,s=${key}`, PASSPHRASE), '');
  await obs.until(active, 'publishing over SRT');
  await untilOnAir(json, 'contribution');
  await obs.stop();
  await untilOnAir(json, 'slate');

  await obs.publish(server, key);
  await untilOnAir(json, 'contribution');
  const killed = Date.now();
  await up.stop('SIGKILL');
  await rm(json, { force: true });
  up.start();
  await obs.until(({ outputReconnecting }) => outputReconnecting, 'looking for the server');
  await obs.until(active, 'publishing again');
  const back = Date.now() - killed;
  assert.ok(back <= BACK_MS_MAX, `back after ${back} ms`);
  await untilJson(json, up);
  await untilOnAir(json, 'contribution');
  t.diagnostic(`publishing again ${back} ms after the server was killed`);
});

/** The best rung's playlist and where it begins. */
async function sequence(multivariant) {
  const index = await (await fetch(multivariant)).text();
  const track = index.split('\n').find((line) => line && !line.startsWith('#'));
  const text = await (await fetch(new URL(track, multivariant))).text();
  return { text, msn: Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]) };
}
