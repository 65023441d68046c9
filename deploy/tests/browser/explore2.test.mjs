import { test } from 'node:test';
import { launch, open, untilState } from './browser.mjs';
import { roles } from './roles.mjs';
const N = Number(process.env.N ?? 1);
test('x', { timeout: 400_000 }, async (t) => {
  for (let i = 0; i < N; i += 1) await t.test(`${i}`, async (t) => {
  const ringside = await roles(t);
  const browser = await launch();
  t.after(() => browser.close());
  ringside.edge.start(); ringside.packager.start(); ringside.ingest.start();
  const ctx = await browser.newContext(); const warm = await ctx.newPage(); await warm.goto('about:blank');
  let status; const begin = Date.now();
  while (status !== 200) { status = await fetch(`${ringside.http}/live/main/index.m3u8`).then((r) => r.status, () => 0); await new Promise(r=>setTimeout(r,20)); if (Date.now()-begin>20000) throw new Error('x'); }
  const t0 = Date.now();
  const log = (...a) => console.log(i, ((Date.now() - t0) / 1000).toFixed(2), ...a);
  await new Promise(r=>setTimeout(r,Number(process.env.DELAY ?? 0)));
  const page = await open(browser, 'about:blank');
  page.on('response', async (r) => { const u = r.url().split('/live/main/')[1]; if (u && process.env.V) log('RESP', r.status(), u); });
  page.on('console', (m) => { if (process.env.V) log(m.text().slice(0,300)); });
  await page.addInitScript(() => { 
    const orig = Object.defineProperty; let n = 0;
    const id = setInterval(() => { const h = window.ringside?.hls; if (h && h !== window.__h) { window.__h = h; 
      for (const k of ['streamController','audioStreamController']) { const c = h[k]; if (c) { for (const l of ['log','warn']) { c[l] = (...a) => console.log('HLS', k, ...a.map(String)); } } }
      clearInterval(0);
    } }, 1);
  });
  await page.goto(`${ringside.http}/watch/main`);
  const s = await untilState(page, 'playing', Number(process.env.WAITMS ?? 12000)).then(() => 'playing', (e) => String(e));
  log('RESULT', s, await page.evaluate(() => { const v = window.ringside.video, r = []; for (let i=0;i<v.buffered.length;i++) r.push([v.buffered.start(i),v.buffered.end(i)]); return JSON.stringify({ct:v.currentTime, r, rs:v.readyState, live: window.ringside.hls?.liveSyncPosition, ld: window.ringside.hls?.levels?.[window.ringside.hls.loadLevel]?.details?.edge, state: window.ringside.hls?.streamController?.state, paused: v.paused}); }));
  });
});
