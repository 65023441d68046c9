// What the page shows and what it tries next. Pure: events in, next state and one effect out.
//
// States: loading, not-started, playing, reconnecting, ended, failed, unsupported.
// Effects: load (ask for the playlist again), resume (restart loading, keep the picture), recover-media (new media source),
// rebuild (new player), catch-up (healthy again after a gap: drop pending work, return to the live edge),
// settle (healthy: drop pending work), stop. An effect replaces a pending one; null leaves the pending one alone.
// The runner reports a repair it has made with the event 'repaired'.

import { backoff, between } from './retry.js';

export const initial = Object.freeze({
  name: 'loading',
  code: '',
  attempt: 0,
  mediaRecovered: false,
  broken: false,
  started: false,
  playingSince: null,
});

const FINAL = new Set(['ended', 'failed', 'unsupported']);
const NOT_THERE_YET = new Set([404, 503]);
const REFUSED = new Set([401, 403, 410, 451]);
const HOPELESS = new Set(['manifestIncompatibleCodecsError']);

// Past this much unbroken playback the troubles before it no longer count.
const STEADY_MS = 10_000;
// hls.js usually finds its own way out of a stall; a new player costs the picture, so it is the last resort.
const STUCK_MS = 15_000;
const RESUMES_BEFORE_REBUILD = 3;

export function step(state, event, { now, random }) {
  if (event.type === 'retry') return to({ ...initial, started: state.started }, effect('rebuild'));
  if (FINAL.has(state.name)) return to(state, null);
  switch (event.type) {
    case 'unsupported':
      return to({ ...state, name: 'unsupported' }, effect('stop'));
    case 'slow':
      // A known stream that has not started parks the request: waiting is the right thing, saying nothing is not.
      return to(state.name === 'loading' ? { ...state, name: 'not-started' } : state, null);
    case 'found':
      // The stream is there, so its picture has to come: no player may wait for that without an end.
      return to(state, state.name === 'playing' ? null : lastResort(random));
    case 'ready':
    case 'progress':
      return healthy(state, event, now);
    case 'stalled':
      if (state.name !== 'playing') return to(state, null);
      return to({ ...state, name: 'reconnecting', code: '', playingSince: null }, lastResort(random));
    case 'repaired':
      return to({ ...state, broken: false }, state.name === 'reconnecting' ? lastResort(random) : null);
    case 'ended':
      return to({ ...state, name: 'ended', code: '' }, effect('stop'));
    case 'error':
      return failing(state, event, random);
    default:
      throw new Error(`no such event: ${event.type}`);
  }
}

function healthy(state, { type, paused = false }, now) {
  if (state.name === 'playing') {
    const steady = state.playingSince !== null && now - state.playingSince >= STEADY_MS;
    return to(steady ? { ...state, attempt: 0, mediaRecovered: false } : state, null);
  }
  // The rest of the buffer still plays after loading has stopped for good: no sign of health.
  if (state.broken) return to(state, null);
  // Data in the buffer does not mean that the stall is over; only a moving picture does, where it is meant to move.
  if (state.name === 'reconnecting' && type === 'ready' && state.started && !paused) return to(state, null);
  const next = { ...state, name: 'playing', code: '', started: true, playingSince: now };
  return to(next, effect(state.name === 'reconnecting' ? 'catch-up' : 'settle'));
}

function failing(state, { kind, status = 0, details = '' }, random) {
  const code = [details, status || ''].filter(Boolean).join(' ');
  if (HOPELESS.has(details) || (kind === 'manifest' && REFUSED.has(status))) {
    return to({ ...state, name: 'failed', code }, effect('stop'));
  }
  const attempt = state.attempt + 1;
  const broken = { ...state, code, attempt, broken: true, playingSince: null };
  if (kind === 'manifest' && NOT_THERE_YET.has(status)) {
    const name = state.started ? 'reconnecting' : 'not-started';
    return to({ ...broken, name }, effect('load', between(3000, 5000, random)));
  }
  const next = { ...broken, name: 'reconnecting' };
  const afterMs = backoff(state.attempt, random);
  if (kind === 'manifest') return to(next, effect('load', afterMs));
  if (kind === 'media' && !state.mediaRecovered) return to({ ...next, mediaRecovered: true }, effect('recover-media'));
  if (kind === 'network' && attempt <= RESUMES_BEFORE_REBUILD) return to(next, effect('resume', afterMs));
  return to(next, effect('rebuild', afterMs));
}

function lastResort(random) {
  return effect('rebuild', between(STUCK_MS, STUCK_MS * 1.5, random));
}

function effect(name, afterMs = 0) {
  return { do: name, afterMs };
}

function to(state, effect) {
  return { state, effect };
}
