import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial, step } from '../src/state.js';

const HALF = 0.5;

/** Runs events through the machine and returns the last outcome. */
function after(...events) {
  let outcome = { state: initial, effect: null };
  for (const event of events) {
    const { now = 0, random = HALF, ...rest } = event;
    outcome = step(outcome.state, rest, { now, random });
  }
  return outcome;
}

const ready = { type: 'ready' };
const progress = { type: 'progress' };
const repaired = { type: 'repaired' };
const notFound = { type: 'error', kind: 'manifest', status: 404, details: 'manifestLoadError' };
const network = { type: 'error', kind: 'network', status: 503, details: 'levelLoadError' };
const media = { type: 'error', kind: 'media', details: 'bufferAppendError' };

test('plays once there is something to play', () => {
  const { state, effect } = after(ready);
  assert.equal(state.name, 'playing');
  assert.equal(effect.do, 'settle');
});

test('an unknown stream has not started and is asked for every 3 to 5 s, for ever', () => {
  for (const [random, expected] of [[0, 3000], [HALF, 4000], [0.999, 4998]]) {
    const { state, effect } = after({ ...notFound, random });
    assert.equal(state.name, 'not-started');
    assert.deepEqual(effect, { do: 'load', afterMs: expected });
  }
  const many = after(...Array.from({ length: 500 }, () => [notFound, repaired]).flat(), notFound);
  assert.deepEqual([many.state.name, many.effect], ['not-started', { do: 'load', afterMs: 4000 }]);
});

test('a stream that starts is picked up', () => {
  assert.equal(after(notFound, repaired, ready, progress).state.name, 'playing');
});

test('a refusal for overload before the start is not an error either', () => {
  assert.equal(after({ ...notFound, status: 503 }).state.name, 'not-started');
});

test('a held request shows that the stream has not started, without asking again', () => {
  const { state, effect } = after({ type: 'slow' });
  assert.equal(state.name, 'not-started');
  assert.equal(effect, null);
  assert.equal(after(ready, { type: 'slow' }).state.name, 'playing');
});

test('an edge that cannot be reached is tried again with growing, spread delays', () => {
  const unreachable = { ...notFound, status: 0 };
  const delays = [1, 2, 3, 4, 5, 6].map((n) => after(...Array(n).fill(unreachable)).effect.afterMs);
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 8000, 8000]);
  assert.equal(after({ ...unreachable, random: 0 }).effect.afterMs, 500);
  assert.equal(after(unreachable).state.name, 'reconnecting');
});

test('a stream that vanishes after it was seen is reconnected, not announced as to come', () => {
  const { state, effect } = after(ready, notFound);
  assert.equal(state.name, 'reconnecting');
  assert.equal(effect.do, 'load');
});

test('network troubles keep the player three times, then replace it', () => {
  const dos = [1, 2, 3, 4, 5].map((n) => after(ready, ...Array(n).fill([network, repaired]).flat().slice(0, -1)).effect.do);
  assert.deepEqual(dos, ['resume', 'resume', 'resume', 'rebuild', 'rebuild']);
});

test('the rest of the buffer does not cancel a repair that is due', () => {
  const { state, effect } = after(ready, network, progress);
  assert.equal(state.name, 'reconnecting');
  assert.equal(effect, null);
  assert.deepEqual(after(ready, network, repaired, progress).effect, { do: 'catch-up', afterMs: 0 });
});

test('a repair that brings neither picture nor error ends in a new player', () => {
  assert.deepEqual(after(ready, network, repaired).effect, { do: 'rebuild', afterMs: 18_750 });
  assert.equal(after(notFound, repaired).effect, null);
});

test('a stream that was found but brings no picture ends in a new player, again and again', () => {
  const found = { type: 'found' };
  const lastResort = { do: 'rebuild', afterMs: 18_750 };
  assert.deepEqual(after(found).effect, lastResort);
  assert.deepEqual(after({ type: 'slow' }, found, repaired, found).effect, lastResort);
  assert.equal(after(found, ready).effect.do, 'settle');
  assert.equal(after(ready, found).effect, null);
});

test('a media error is recovered from once, then the player is replaced', () => {
  assert.deepEqual(after(ready, media).effect, { do: 'recover-media', afterMs: 0 });
  assert.equal(after(ready, media, repaired, progress, media).effect.do, 'rebuild');
});

test('old troubles are forgotten after ten good seconds', () => {
  const troubled = [ready, media, repaired, { ...progress, now: 1000 }];
  assert.equal(after(...troubled, { ...progress, now: 10_999 }, media).effect.do, 'rebuild');
  const good = after(...troubled, { ...progress, now: 11_000 }, media);
  assert.equal(good.effect.do, 'recover-media');
  assert.equal(good.state.attempt, 1);
});

test('a stall reconnects; the picture moving again returns to the live edge', () => {
  const stalled = after(ready, { type: 'stalled' });
  assert.equal(stalled.state.name, 'reconnecting');
  assert.deepEqual(stalled.effect, { do: 'rebuild', afterMs: 18_750 });
  assert.equal(after(ready, { type: 'stalled' }, ready).state.name, 'reconnecting');
  const back = after(ready, { type: 'stalled' }, progress);
  assert.deepEqual([back.state.name, back.effect.do], ['playing', 'catch-up']);
});

test('a viewer who paused during a gap is not shown it for ever', () => {
  assert.equal(after(ready, network, repaired, { ...ready, paused: true }).state.name, 'playing');
});

test('the end is final until the viewer asks', () => {
  const ended = after(ready, { type: 'ended' });
  assert.deepEqual([ended.state.name, ended.effect.do], ['ended', 'stop']);
  assert.equal(after(ready, { type: 'ended' }, network).state.name, 'ended');
  assert.equal(after(ready, { type: 'ended' }, progress).effect, null);
});

test('a refusal shows its code and waits for the viewer', () => {
  const refused = after({ ...notFound, status: 403 });
  assert.deepEqual([refused.state.name, refused.state.code, refused.effect.do], ['failed', 'manifestLoadError 403', 'stop']);
  const again = after({ ...notFound, status: 403 }, { type: 'retry' });
  assert.deepEqual([again.state.name, again.effect.do], ['loading', 'rebuild']);
});

test('a browser without any way to play says so', () => {
  assert.equal(after({ type: 'unsupported' }).state.name, 'unsupported');
});

test('an event that does not exist is a mistake', () => {
  assert.throws(() => after({ type: 'progres' }), /no such event/);
});
