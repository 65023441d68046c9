// The viewer page: ties the player, the state machine and the controls together.

import { attachQuality, renditionText } from './quality.js';
import { badge } from './badge.js';
import { newSession, playlistOf, reportConfig } from './config.js';
import { ServerClock, secondsBehind } from './clock.js';
import { HlsEngine, supported as hlsSupported } from './engine-hls.js';
import { NativeEngine, supported as nativeSupported } from './engine-native.js';
import { Pace } from './pace.js';
import { Progress } from './progress.js';
import { Session } from './session.js';
import { createView } from './view.js';

const LOOK_MS = 250;
const PACE_MS = 100;
const SLOW_MS = 6000;

const video = document.getElementById('video');
const view = createView(document);
const progress = new Progress();
const pace = new Pace();
const serverClock = new ServerClock();
const levels = attachQuality(video);
const place = playlistOf(location.pathname);

// The monotonic clock: a viewer's clock that is set right in mid-event must not move the badge.
const clientMs = () => performance.timeOrigin + performance.now();
const seconds = () => (engine ? secondsBehind(serverClock.at(clientMs()), engine.programMs) : null);

const session = new Session({ perform, show });
const engine = createEngine();
// What the viewer wants, apart from what the element does while it is being reloaded.
let wanted = true;
// Set after a gap until the picture is back at the live edge.
let catchingUp = false;

function createEngine() {
  const on = {
    emit: (event) => session.emit(event),
    stamped: (at, stamp) => serverClock.add(at, stamp),
    levels,
  };
  if (!place) return null;
  const latencyMs = () => { const behind = seconds(); return behind === null ? null : Math.max(0, behind * 1000); };
  const reports = reportConfig(place.stream, document.documentElement.dataset, newSession(), latencyMs);
  if (hlsSupported()) return new HlsEngine(video, { ...place, reports }, on);
  return nativeSupported(video) ? new NativeEngine(video, place.url, on) : null;
}

function perform(effect) {
  switch (effect) {
    case 'load':
      return engine.load();
    case 'resume':
      return engine.resume();
    case 'recover-media':
      return engine.recoverMedia();
    case 'rebuild':
      return engine.rebuild();
    case 'catch-up':
      catchingUp = wanted && !engine.isRewound;
      return undefined;
    case 'stop':
      return session.state.name === 'ended' ? engine.finish() : engine?.stop();
    default:
      return undefined;
  }
}

function show(state) {
  view.state(state);
  draw();
}

function isBehind() {
  return badge({ seconds: seconds(), target: engine.targetLatency, active: true }).mode === 'behind';
}

function goLive() {
  if (engine.isRewound) return engine.leaveRecording();
  const position = engine.livePosition;
  if (position !== null) video.currentTime = position;
  play();
}

const BACK_S = 30;

/** Back by half a minute, or to the start; the recording is opened at the first press. */
async function rewind(toStart) {
  if (engine.isSeekable) {
    const start = video.seekable.length ? video.seekable.start(0) : 0;
    video.currentTime = toStart ? start : Math.max(start, video.currentTime - BACK_S);
    return play();
  }
  const target = toStart ? 0 : engine.programMs - BACK_S * 1000;
  const can = target !== null && (await engine.canRewind());
  if (can) engine.rewind(target);
  else view.say('There is nothing to rewind to yet');
}

/** A browser that forbids even muted autoplay leaves the play button to the viewer. */
function play() {
  video.play().catch(() => {});
}

function look() {
  const expected = session.state.started && !video.paused && !video.ended && !video.seeking && !document.hidden;
  const seen = progress.look({ now: performance.now(), position: video.currentTime, expected });
  if (seen) session.emit({ type: seen });
  if (catchingUp) catchUp();
  draw();
}

/** A native player keeps its own pace, and has no distances. */
function keepPace() {
  if (video.paused || video.seeking || engine.distances === undefined) return;
  const rate = pace.rate(engine.distances ?? {});
  if (rate !== video.playbackRate) video.playbackRate = rate;
}

/** The playlist may be as old as the gap at first, and its live edge with it: tried until it leads forward. */
function catchUp() {
  if (seconds() === null) return;
  if (!isBehind()) catchingUp = false;
  else if (!video.seeking && engine.livePosition > video.currentTime + 1) goLive();
}

function draw() {
  const { name } = session.state;
  const active = name === 'playing' || name === 'reconnecting';
  const behind = seconds();
  view.live(badge({ seconds: behind, target: engine?.targetLatency ?? null, active }));
  view.muted(active && video.muted && !video.paused);
  const rung = active ? engine.rung : null;
  view.signal(rung ? renditionText(rung) : '');
  view.seekable(active && Boolean(engine?.isSeekable));
}

function start() {
  view.name(place?.stream ?? 'ringside');
  view.state(session.state);
  if (!engine) return session.emit({ type: 'unsupported' });
  view.rewinds(Boolean(engine.rewind));
  setTimeout(() => session.emit({ type: 'slow' }), SLOW_MS);
  setInterval(look, LOOK_MS);
  setInterval(keepPace, PACE_MS);
  perform('rebuild');
}

video.addEventListener('canplay', () => {
  if (wanted) play();
  session.emit({ type: 'ready', paused: video.paused });
});
video.addEventListener('play', () => (wanted = true));
video.addEventListener('pause', () => {
  wanted = video.ended;
  catchingUp &&= wanted;
});
video.addEventListener('ended', () => session.emit({ type: 'ended' }));
video.addEventListener('volumechange', draw);
view.badge.addEventListener('click', goLive);
view.back.addEventListener('click', () => rewind(false));
view.over.addEventListener('click', () => rewind(true));
view.retry.addEventListener('click', () => session.emit({ type: 'retry' }));
view.unmute.addEventListener('click', () => {
  video.muted = false;
  if (video.volume === 0) video.volume = 1;
  play();
});

window.ringside = {
  get hls() {
    return engine?.hls ?? null;
  },
  video,
  state: () => session.state.name,
  get stalls() {
    return progress.stalls;
  },
  latency: seconds,
};

start();
// After start(): the controls read the video element as they come alive, and must find the quality list on it.
import('./controls.js');
