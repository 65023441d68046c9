// Plays through the browser's own HLS, where media source extensions are missing. Same face as the hls.js engine.

import { readStamp } from './clock.js';

export const supported = (video) => video.canPlayType('application/vnd.apple.mpegurl') !== '';

export class NativeEngine {
  #video;
  #url;
  #on;
  #abort = null;
  hls = null;

  constructor(video, url, on) {
    this.#video = video;
    this.#url = url;
    this.#on = on;
    video.addEventListener('error', () => {
      if (this.#abort) on.emit({ type: 'error', kind: 'other', details: `mediaError ${video.error?.code ?? ''}`.trim() });
    });
  }

  /** The element does not tell an HTTP status, so the playlist is asked for once before it is handed over. */
  async rebuild() {
    this.stop();
    const { signal } = (this.#abort = new AbortController());
    try {
      const response = await fetch(this.#url, { signal });
      const stamp = readStamp((name) => response.headers.get(name));
      if (stamp) this.#on.stamped(performance.timeOrigin + performance.now(), stamp);
      if (!response.ok) return this.#on.emit({ type: 'error', kind: 'manifest', status: response.status, details: 'manifestLoadError' });
      this.#video.src = this.#url;
      this.#video.load();
    } catch {
      if (!signal.aborted) this.#on.emit({ type: 'error', kind: 'manifest', details: 'manifestLoadError' });
    }
  }

  load() {
    this.rebuild();
  }

  resume() {
    this.rebuild();
  }

  recoverMedia() {
    this.rebuild();
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
    this.#video.removeAttribute('src');
    this.#video.load();
  }

  finish() {}

  get programMs() {
    const start = this.#video.getStartDate?.().getTime();
    return Number.isFinite(start) ? start + this.#video.currentTime * 1000 : null;
  }

  get livePosition() {
    const { seekable } = this.#video;
    // Where to stand is the element's own business; its edge less a few seconds is never a stall.
    return seekable.length ? Math.max(seekable.start(0), seekable.end(seekable.length - 1) - 3) : null;
  }

  get targetLatency() {
    return null;
  }

  get rung() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    return height ? { width, height } : null;
  }
}
