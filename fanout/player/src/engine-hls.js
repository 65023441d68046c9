// Plays through hls.js. No decisions: says what happened, does what it is told.

import Hls from 'hls.js';
import { hlsConfig, rewindConfig } from './config.js';
import { readStamp } from './clock.js';

const { streamController: StreamController, audioStreamController: AudioStreamController } = Hls.DefaultConfig;

/**
 * A stream that has just begun lists segments of GAP before its first picture, and the live position may lie in them.
 * hls.js 1.7.4 then asks for such a segment, aborts the next one together with it, and waits for ever. As long as there
 * is nothing to play, wait until the live position has left them instead.
 *
 * Who rewinds starts at a time of the programme, of which only the playlist tells where it is.
 */
const startsRightly = (Controller) =>
  class extends Controller {
    setStartPosition(details, sliding) {
      const { startProgramMs } = this.config;
      if (startProgramMs !== undefined) this.startPosition = positionOf(details, startProgramMs);
      super.setStartPosition(details, sliding);
    }

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
class PunctualStreamController extends startsRightly(StreamController) {
  getNextFragment(position, details) {
    return super.getNextFragment(position + 0.001, details);
  }
}

/** Where in a playlist a time of the programme is, at its start if it is earlier than that. */
function positionOf({ fragments }, programMs) {
  const first = fragments.find((fragment) => !fragment.gap) ?? fragments[0];
  const at = fragments.findLast((fragment) => fragment.programDateTime <= programMs && !fragment.gap) ?? first;
  const into = Math.max(0, programMs - at.programDateTime) / 1000;
  return at.start + Math.min(into, at.duration);
}

const CONTROLLERS = { streamController: PunctualStreamController, audioStreamController: startsRightly(AudioStreamController) };

export const supported = () => Hls.isSupported();

/** `emit(event)` takes events of the state machine, `stamped(clientMs, stamp)` the server's times, `levels(hls)` the rungs. */
export class HlsEngine {
  #video;
  #urls;
  #on;
  /** Time of the programme it was rewound to, or null at the live edge. */
  #from = null;
  hls = null;

  /** `urls`: `{ url, rewindUrl, reports }`, the last of them settings of hls.js. */
  constructor(video, urls, on) {
    this.#video = video;
    this.#urls = urls;
    this.#on = on;
  }

  /** Starts over with a new player. */
  rebuild() {
    this.stop();
    const rewound = this.isRewound ? { ...rewindConfig(), startProgramMs: this.#from } : {};
    const hls = (this.hls = new Hls({ ...hlsConfig(), ...CONTROLLERS, ...this.#urls.reports, ...rewound }));
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
    hls.loadSource(this.#source);
  }

  get #source() {
    return this.isRewound ? this.#urls.rewindUrl : this.#urls.url;
  }

  get isRewound() {
    return this.#from !== null;
  }

  /** Whether there is anything to rewind to. */
  async canRewind() {
    const answer = await fetch(this.#urls.rewindUrl).catch(() => null);
    return answer?.ok ?? false;
  }

  /** Plays the recording from a time of the programme on, milliseconds; 0 is its start. */
  rewind(programMs) {
    this.#from = programMs;
    this.rebuild();
  }

  /** Back to the live edge. */
  leaveRecording() {
    this.#from = null;
    this.rebuild();
  }

  load() {
    this.hls.loadSource(this.#source);
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

  /** Whether the whole programme is here: rewound to, or over. */
  get isSeekable() {
    return this.isRewound || this.hls?.latestLevelDetails?.live === false;
  }

  /** What the pace is made from, in seconds; none where the playlist is not live. */
  get distances() {
    const details = this.hls?.latestLevelDetails;
    if (!details?.live || this.isRewound) return null;
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
