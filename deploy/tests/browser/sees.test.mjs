// A viewer sees the picture that should be on air: RINGSIDE_PICTURE is test, encoder, obs or slate.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, open, shot, untilState, up } from './browser.mjs';
import { PICTURES, untilPicture } from './pictures.mjs';

const picture = process.env.RINGSIDE_PICTURE;

test(`a viewer sees: ${picture}`, { timeout: 40_000 }, async (t) => {
  assert.ok(Object.hasOwn(PICTURES, picture), `RINGSIDE_PICTURE is ${picture}`);
  const { watch_url } = await up();
  const browser = await launch();
  t.after(() => browser.close());
  const page = await open(browser, watch_url);
  await untilState(page, 'playing', 20_000);
  await untilPicture(page, picture);
  await shot(page, picture);
});
