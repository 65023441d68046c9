import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerClock, readStamp, secondsBehind } from '../src/clock.js';

const exact = (ms) => ({ ms, exact: true });
const coarse = (ms) => ({ ms, exact: false });
const headers = (map) => (name) => map[name] ?? null;

test('without a stamp nothing is known', () => {
  const clock = new ServerClock();
  assert.equal(clock.offsetMs, null);
  assert.equal(clock.at(1000), null);
});

test('the fastest trip gives the offset', () => {
  const clock = new ServerClock();
  // The viewer's clock is 5 s ahead; trips of 80, 12 and 200 ms.
  clock.add(15_080, exact(10_000));
  clock.add(16_012, exact(11_000));
  clock.add(17_200, exact(12_000));
  assert.equal(clock.offsetMs, 5012);
  assert.equal(clock.at(20_000), 14_988);
});

test('a viewer\u2019s clock may be behind', () => {
  const clock = new ServerClock();
  clock.add(7010, exact(10_000));
  assert.equal(clock.offsetMs, -2990);
});

test('an old stamp out of a cache does no harm', () => {
  const clock = new ServerClock();
  clock.add(10_020, exact(10_000));
  clock.add(14_000, exact(10_500));
  assert.equal(clock.offsetMs, 20);
});

test('a sample is forgotten after five minutes, so that drift shows', () => {
  const clock = new ServerClock();
  clock.add(1000, exact(990));
  clock.add(200_000, exact(199_950));
  assert.equal(clock.offsetMs, 10);
  clock.add(301_001, exact(300_941));
  assert.equal(clock.offsetMs, 50);
});

test('memory is bounded', () => {
  const clock = new ServerClock();
  for (let i = 0; i < 10_000; i += 1) clock.add(i, exact(-i));
  // Each sample is worse than the one before, so none is dropped for a better one: the bound alone does it.
  assert.equal(clock.offsetMs, (10_000 - 256) * 2);
});

test('a precise stamp beats the Date header', () => {
  const clock = new ServerClock();
  clock.add(10_900, coarse(10_000));
  assert.equal(clock.offsetMs, 900);
  clock.add(11_020, exact(11_000));
  assert.equal(clock.offsetMs, 20);
  clock.add(12_001, coarse(12_000));
  assert.equal(clock.offsetMs, 20);
});

test('reads microseconds, else the date with its age', () => {
  assert.deepEqual(readStamp(headers({ 'ringside-available': '1767225600123456' })), exact(1767225600123.456));
  const date = 'Thu, 01 Jan 2026 00:00:00 GMT';
  assert.deepEqual(readStamp(headers({ date })), coarse(1767225600000));
  assert.deepEqual(readStamp(headers({ date, age: '3' })), coarse(1767225603000));
  assert.deepEqual(readStamp(headers({ date, 'ringside-available': 'soon' })), coarse(1767225600000));
  assert.equal(readStamp(headers({})), null);
  assert.equal(readStamp(headers({ date: 'yesterday' })), null);
});

test('latency is the distance between the clock and the picture', () => {
  assert.equal(secondsBehind(10_000, 8250), 1.75);
  assert.equal(secondsBehind(10_000, 10_100), 0);
  assert.equal(secondsBehind(null, 8000), null);
  assert.equal(secondsBehind(10_000, null), null);
});

test('a programme clock that is not wall time tells nothing', () => {
  assert.equal(secondsBehind(1_767_225_600_000, 0), null);
  assert.equal(secondsBehind(0, 60_000), null);
});
