import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../src/pace.js';

const ultra = { part: 0.222, segment: 2 };
const low = { part: 0.522, segment: 2 };

test('who is behind hurries, the less the nearer, and not for ever', () => {
  const pace = new Pace();
  assert.equal(pace.rate({ ...low, behind: 1.4, inHand: 3 }), 1.5);
  assert.equal(pace.rate({ ...low, behind: 0.4, inHand: 2 }), 1.2);
  assert.equal(pace.rate({ ...low, behind: 0.04, inHand: 2 }), 1.02, 'goes on below the mark where it began');
  assert.equal(pace.rate({ ...low, behind: 0.01, inHand: 2 }), 1);
  assert.equal(pace.rate({ ...low, behind: 0.04, inHand: 2 }), 1, 'and does not begin there');
});

test('less than a second in hand is enough for short parts, a part of it is kept', () => {
  const pace = new Pace();
  assert.equal(pace.rate({ ...ultra, behind: 0.3, inHand: 0.8 }), 1.15);
  assert.equal(pace.rate({ ...ultra, behind: 0.3, inHand: 0.3 }), 1.05);
  assert.equal(pace.rate({ ...ultra, behind: 0.3, inHand: 0.2 }), 1);
  assert.equal(pace.rate({ ...low, behind: 0.3, inHand: 0.5 }), 1, 'longer parts come later');
});

test('who is too near the edge falls back slowly', () => {
  const pace = new Pace();
  assert.equal(pace.rate({ ...ultra, behind: -0.25, inHand: 0.4 }), 0.95);
  assert.equal(pace.rate({ ...ultra, behind: -0.03, inHand: 0.4 }), 0.95);
  assert.equal(pace.rate({ ...ultra, behind: 0, inHand: 0.6 }), 1);
});

test('who rewound, and who knows nothing yet, is left alone', () => {
  const pace = new Pace();
  assert.equal(pace.rate({ ...low, behind: 30, inHand: 10 }), 1);
  for (const unknown of [null, undefined, NaN, Infinity]) {
    assert.equal(pace.rate({ ...low, behind: unknown, inHand: 10 }), 1);
    assert.equal(pace.rate({ ...low, behind: 1, inHand: unknown }), 1);
  }
});

test('in a stream whose parts come every 0.2 s the distance settles and nothing runs dry', () => {
  const pace = new Pace();
  // The edge grows by a part each 0.2 s; the viewer starts 1.6 s behind it and wants 0.666 s.
  let [position, rate, least] = [0, 1, Infinity];
  for (let ms = 0; ms < 60_000; ms += 10) {
    const edge = 1.6 + Math.floor(ms / 200) * 0.2;
    const now = 1.6 + ms / 1000;
    position += rate * 0.01;
    least = Math.min(least, edge - position);
    if (ms % 100 === 0) rate = pace.rate({ ...ultra, behind: now - 0.666 - position, inHand: edge - position });
  }
  const distance = 1.6 + 60 - position;
  assert.ok(Math.abs(distance - 0.666) < 0.08, `${distance} s behind the edge`);
  assert.ok(least > 0.3, `${least} s in hand`);
  assert.equal(rate, 1);
});
