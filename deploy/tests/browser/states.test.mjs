// One viewer, one page, no reload, while the processes behind the page come, die and return.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, open, shot, untilState } from './browser.mjs';
import { untilPicture } from './pictures.mjs';
import { roles } from './roles.mjs';

const RECOVER_MS = 30_000;

test('x', { timeout: 200_000 }, async (t) => {
  const ringside = await roles(t);
  const browser = await launch();
  t.after(() => browser.close());
  const t0 = Date.now();
  const log = (...a) => console.log(((Date.now() - t0) / 1000).toFixed(2), ...a);
  ringside.edge.start();
  await new Promise(r=>setTimeout(r,1000));
  const page = await open(browser, `${ringside.http}/watch/main`);
  page.on('response', (r) => { if (process.env.V && !/200/.test(r.status())) log('  ', r.status(), r.url()); });
  await untilState(page, 'not-started', 20_000);
  log('not-started');
  ringside.packager.start(); await new Promise(r=>setTimeout(r,500));
  ringside.ingest.start();
  await untilState(page, 'playing', 30_000); log('playing');
  let prev='';
  const iv = setInterval(async () => {
    try {
      const s = await page.evaluate(() => [window.ringside.state(), window.ringside.latency()?.toFixed(1), window.ringside.video.currentTime.toFixed(2), window.ringside.hls?.playingDate?.toISOString(), window.ringside.stalls].join(' '));
      log('  page', s);
      const text = await (await fetch(`${ringside.http}/live/main/360p/media.m3u8`, {signal: AbortSignal.timeout(1000)})).text();
      log('  pl', /MEDIA-SEQ.*/.exec(text)?.[0], /DISCONTINUITY-SEQ.*/.exec(text)?.[0], text.trim().split('\n').slice(-2).join(' | '), /#EXT-X-DISCONTINUITY\n/.test(text));
    } catch (e) { log('  err', String(e).slice(0,100)); }
  }, 1000);
  t.after(() => clearInterval(iv));
  await untilPicture(page, 'test'); log('picture');
  const what = process.env.KILL ?? 'packager';
  await new Promise(r=>setTimeout(r,5000));
  await ringside[what].stop(process.env.SIG ?? 'SIGKILL'); log('killed', what);
  if (process.env.WAIT) { await untilState(page, 'reconnecting'); log('reconnecting'); }
  ringside[what].start(); log('started');
  await new Promise(r=>setTimeout(r,30000));
  console.log(page.complaints);
  console.log(ringside.logs());
});
