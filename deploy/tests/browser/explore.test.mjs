import { test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { launch, open, untilState } from './browser.mjs';
import { roles } from './roles.mjs';
test('x', { timeout: 200_000 }, async (t) => {
  const ringside = await roles(t);
  const browser = await launch();
  t.after(() => browser.close());
  const t0 = Date.now();
  const log = (...a) => console.log(((Date.now() - t0) / 1000).toFixed(2), ...a);
  ringside.edge.start(); ringside.packager.start(); ringside.ingest.start();
  await new Promise(r=>setTimeout(r,1500));
  const page = await open(browser, `${ringside.http}/watch/main`);
  page.on('console', (m) => { if (m.text().startsWith('HLS')) log(m.text()); });
  page.on('response', async (r) => {
    const u = r.url().split('/live/main/')[1]; if (!u) return;
    log('RESP', r.status(), u);
    if (u.startsWith('360p/media') || u.startsWith('240p/media')|| u.startsWith('audio/media')) { try { const x = await r.text(); writeFileSync(`/tmp/pl/${((Date.now()-t0)/1000).toFixed(2)}-${u.replace(/\W/g,'_')}.m3u8`, x); } catch (e) {} }
  });
  await untilState(page, 'playing', 30_000); log('playing');
  await page.evaluate(() => {
    const h = window.ringside.hls;
    const f = (d) => d.frag ? `${d.frag.type} sn=${d.frag.sn} cc=${d.frag.cc} part=${d.part?.index ?? '-'} start=${d.frag.start?.toFixed(2)} lvl=${d.frag.level} gap=${d.frag.gap}` : '';
    const b = () => { const v = window.ringside.video; const r=[]; for (let i=0;i<v.buffered.length;i++) r.push(v.buffered.start(i).toFixed(2)+'-'+v.buffered.end(i).toFixed(2)); return `ct=${v.currentTime.toFixed(2)} buf=${r} rs=${v.readyState} rate=${v.playbackRate}`; };
    for (const e of ['hlsFragLoading','hlsFragLoaded','hlsFragBuffered','hlsError','hlsInitPtsFound','hlsLevelSwitching','hlsBufferFlushing','hlsFragParsed','hlsManifestLoading']) h.on(e, (_, d) => console.log('HLS', e, f(d), d.details ?? '', d.reason ?? '', d.error?.message ?? '', d.stats?'':'' , e==='hlsInitPtsFound' ? `${d.id} cc=${d.frag?.cc} initPTS=${d.initPTS}/${d.timescale}`:'', b()));
    h.on('hlsLevelUpdated', (_, d) => console.log('HLS levelUpdated', d.level, d.details.startSN, d.details.endSN, 'cc', d.details.startCC, d.details.endCC, 'frag0 start', d.details.fragments[0].start.toFixed(2), 'edge', d.details.edge.toFixed(2), 'partEdge', d.details.partEnd?.toFixed?.(2), b()));
    h.on('hlsAudioTrackUpdated', (_, d) => console.log('HLS audioUpdated', d.details.startSN, d.details.endSN, 'cc', d.details.startCC, d.details.endCC, 'frag0 start', d.details.fragments[0].start.toFixed(2), 'edge', d.details.edge.toFixed(2)));
  });
  await new Promise(r=>setTimeout(r,5000));
  log('KILL'); await ringside.ingest.stop('SIGKILL');
  if (process.env.WAIT_MS) await new Promise(r=>setTimeout(r,Number(process.env.WAIT_MS)));
  ringside.ingest.start(); log('started');
  await new Promise(r=>setTimeout(r,Number(process.env.RUN ?? 12000)));
  console.log(await page.evaluate(()=>window.ringside.state()));
});
