// The line of media sequence numbers, as a viewer gets it.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

/** Notes where the best rung's playlist begins and ends, as a viewer gets it. `stop` returns the list. */
export function follow(multivariant) {
  const seen = [];
  let going = true;
  const done = (async () => {
    while (going) {
      // While the edge is away there is nothing to note.
      const found = await ends(multivariant).catch(() => null);
      if (found) seen.push(found);
      await pause(200);
    }
  })();
  return {
    async stop() {
      going = false;
      await done;
      return seen;
    },
  };
}

/** The best rung's playlist. */
export async function best(multivariant) {
  const get = async (url) => (await fetch(url, { signal: AbortSignal.timeout(5000) })).text();
  const rung = (await get(multivariant)).split('\n').find((line) => line && !line.startsWith('#'));
  return get(new URL(rung, multivariant));
}

/** Fails where a number falls. */
export function neverBack(seen) {
  for (const [index, { first, newest }] of seen.entries()) {
    const before = seen[Math.max(0, index - 1)];
    assert.ok(first >= before.first && newest >= before.newest, `from ${JSON.stringify(before)} to ${JSON.stringify({ first, newest })}`);
  }
}

/** Media sequence number of the first segment, and number of the newest part. */
async function ends(multivariant) {
  const text = await best(multivariant);
  const first = Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(text)?.[1]);
  const newest = Math.max(...[...text.matchAll(/^#EXT-X-PART:.*URI="part-(\d+)\.m4s"/gm)].map(([, part]) => Number(part)));
  return Number.isFinite(first) && Number.isFinite(newest) ? { first, newest } : null;
}
