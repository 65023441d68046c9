// Plays through hls.js. No decisions: says what happened, does what it is told.

import Hls from 'hls.js';
import { hlsConfig } from './config.js';
import { readStamp } from './clock.js';

const { streamController: StreamController, audioStreamController: AudioStreamController } = Hls.DefaultConfig;

/**
 * A stream that has just begun lists segments of GAP before its first picture, and the live position may lie in them.
 * hls.js 1.7.4 then asks for such a segment, aborts the next one together with it, and waits for ever. As long as there
 * is nothing to play, wait until the live position has left them instead.
 */
const startsAtMedia = (Controller) =>
  class extends Controller {
    loadFragment(fragment, playlist, position) {
      if (!fragment.gap || this.media?.buffered.length) return super.loadFragment(fragment, playlist, position);
      this.startFragRequested = false;
      this.startPosition = -1;
    }
  };

/**
 * Browsers keep buffer ends in whole microseconds, so a segment of 30 fps ends a hair before its nominal end. After a
 * change of rung in mid-segment hls.js 1.7.4 then takes the parts it skipped for missing, waits for them, and stalls
 * for seconds. Looking up the next segment a millisecond on, it finds the one that follows.
 */
class PunctualStreamController extends startsAtMedia(StreamController) {
  getNextFragment(position, details) {
    return super.getNextFragment(position + 0.001, details);
  }
}

const CONTROLLERS = { streamController: PunctualStreamController, audioStreamController: startsAtMedia(AudioStreamController) };

export const supported = () => Hls.isSupported();

/** `emit(event)` takes events of the state machine, `stamped(clientMs, stamp)` the server's times, `levels(hls)` the rungs. */
export class HlsEngine {
  #video;
  #url;
  #on;
  hls = null;

  constructor(video, url, on) {
    this.#video = video;
    this.#url = url;
    this.#on = on;
  }

  /** Starts over with a new player. */
  rebuild() {
    this.stop();
    const hls = (this.hls = new Hls({ ...hlsConfig(), ...CONTROLLERS }));
    const { Events } = Hls;
    hls.on(Events.ERROR, (_, data) => data.fatal && this.#on.emit(toEvent(data)));
    hls.on(Events.MANIFEST_PARSED, () => {
      this.#on.levels(hls);
      this.#on.emit({ type: 'found' });
    });
    hls.on(Events.LEVELS_UPDATED, () => this.#on.levels(hls));
    for (const loaded of [Events.MANIFEST_LOADED, Events.LEVEL_LOADED, Events.AUDIO_TRACK_LOADED]) {
      hls.on(loaded, (_, data) => this.#stamp(data));
    }
    hls.attachMedia(this.#video);
    hls.loadSource(this.#url);
  }

  load() {
    this.hls.loadSource(this.#url);
  }

  resume() {
    this.hls.startLoad();
  }

  recoverMedia() {
    this.hls.recoverMediaError();
  }

  stop() {
    this.hls?.destroy();
    this.hls = null;
  }

  /** The end of the programme was reached: what is on screen stays, nothing is asked for any more. */
  finish() {
    this.hls?.stopLoad();
  }

  get programMs() {
    return this.hls?.playingDate?.getTime() ?? null;
  }

  get livePosition() {
    return this.hls?.liveSyncPosition ?? null;
  }

  get targetLatency() {
    return this.hls?.targetLatency ?? null;
  }

  /** What the pace is made from, in seconds; none where the playlist is not live. */
  get distances() {
    const details = this.hls?.latestLevelDetails;
    if (!details?.live) return null;
    const { currentTime, buffered } = this.#video;
    const wanted = this.livePosition;
    return {
      behind: wanted === null ? null : wanted - currentTime,
      inHand: inHand(buffered, currentTime),
      part: details.partTarget || details.targetduration,
      segment: details.targetduration,
    };
  }

  /** The rung on screen: `{ width, height, bitrate }` or null. */
  get rung() {
    return this.hls?.levels[this.hls.currentLevel] ?? null;
  }

  #stamp({ networkDetails, stats }) {
    if (!networkDetails?.getResponseHeader) return;
    const stamp = readStamp((name) => networkDetails.getResponseHeader(name));
    // The first byte is the moment closest to the stamp; parsing comes later and would count as distance.
    if (stamp) this.#on.stamped(performance.timeOrigin + (stats?.loading.first || performance.now()), stamp);
  }
}

/** From a position to the end of the range it is in. */
function inHand(buffered, position) {
  for (let at = 0; at < buffered.length; at += 1) {
    if (buffered.start(at) <= position && position <= buffered.end(at)) return buffered.end(at) - position;
  }
  return 0;
}

function toEvent(data) {
  const kind = data.details.startsWith('manifest') ? 'manifest' : { networkError: 'network', mediaError: 'media' }[data.type] ?? 'other';
  return { type: 'error', kind, status: data.response?.code ?? 0, details: data.details };
}
