// One viewer, one page, no reload: it sees the pictures in RINGSIDE_PICTURES one after the other, without a stall.
// Each is noted in the file RINGSIDE_SEEN, so that whoever starts and kills encoders can wait for it.

import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { test } from 'node:test';
import { launch, open, shot, untilState, up } from './browser.mjs';
import { PICTURES, untilPicture } from './pictures.mjs';

const pictures = (process.env.RINGSIDE_PICTURES ?? '').split(' ').filter(Boolean);

test(`a viewer sees ${pictures.join(', ')}`, { timeout: 110_000 }, async (t) => {
  assert.ok(pictures.length > 0, 'RINGSIDE_PICTURES is empty');
  for (const name of pictures) assert.ok(Object.hasOwn(PICTURES, name), `no such picture: ${name}`);
  const { watch_url, playlist_url } = await up();
  const browser = await launch();
  t.after(() => browser.close());
  const page = await open(browser, watch_url);
  let loads = 1;
  page.on('load', () => { loads += 1; });
  await untilState(page, 'playing', 20_000);
  const first = await sequence(playlist_url);
  for (const [index, name] of pictures.entries()) {
    await untilPicture(page, name, 40_000);
    await shot(page, `${index + 1}-${name}`);
    if (process.env.RINGSIDE_SEEN) await appendFile(process.env.RINGSIDE_SEEN, `${name}\n`);
  }
  const last = await sequence(playlist_url);
  assert.ok(last.msn >= first.msn, `MSN went from ${first.msn} to ${last.msn}`);
  assert.ok(!last.text.includes('#EXT-X-DISCONTINUITY\n'), last.text);
  assert.ok(loads <= 2, 'the page was loaded again');
  assert.equal(await page.evaluate(() => window.ringside.stalls), 0, 'stalls');
  assert.deepEqual(page.complaints, []);
});

/** The best rung's playlist and where it begins. */
async function sequence(multivariant) {
  const index = await (await fetch(multivariant)).text();
  const track = index.split('\n').find((line) => line && !line.startsWith('#'));
  const text = await (await fetch(new URL(track, multivariant))).text();
  return { text, msn: Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]) };
}
