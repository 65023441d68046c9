// The server's clock as seen from here. Pure: times are handed in.
//
// A stamp is made before it arrives, so every (arrival - stamp) is an upper bound of the viewer's clock offset,
// and the least of them over a few minutes is the tightest: off by the fastest trip seen, a few milliseconds.

// Long enough to have met a fast trip, short enough that drift (50 ppm) stays under 15 ms.
const WINDOW_MS = 300_000;

class LeastOverWindow {
  #samples = [];

  add(at, value) {
    // Samples that are older and no better can never be the least again.
    while (this.#samples.length && this.#samples.at(-1).value >= value) this.#samples.pop();
    this.#samples.push({ at, value });
    while (this.#samples[0].at < at - WINDOW_MS || this.#samples.length > 256) this.#samples.shift();
  }

  get value() {
    return this.#samples.length ? this.#samples[0].value : null;
  }
}

export class ServerClock {
  #exact = new LeastOverWindow();
  #coarse = new LeastOverWindow();

  /** Takes a stamp of the server (`{ ms, exact }`) that arrived at `clientMs`. */
  add(clientMs, stamp) {
    (stamp.exact ? this.#exact : this.#coarse).add(clientMs, clientMs - stamp.ms);
  }

  /** Milliseconds the viewer's clock is ahead of the server's, or null before the first stamp. */
  get offsetMs() {
    return this.#exact.value ?? this.#coarse.value;
  }

  /** The server's time at `clientMs`, or null before the first stamp. */
  at(clientMs) {
    const offset = this.offsetMs;
    return offset === null ? null : clientMs - offset;
  }
}

/** Reads the stamp of a response; `header(name)` gives a header's text or null. */
export function readStamp(header) {
  const micros = Number(header('ringside-available') || NaN);
  if (Number.isFinite(micros) && micros > 0) return { ms: micros / 1000, exact: true };
  const date = Date.parse(header('date') ?? '');
  if (Number.isNaN(date)) return null;
  const age = Number(header('age') ?? 0);
  return { ms: date + (age > 0 ? age * 1000 : 0), exact: false };
}

/** Seconds between what the server's clock says and the programme time on screen, or null where either is unknown. */
export function secondsBehind(serverMs, programMs) {
  if (serverMs === null || programMs === null) return null;
  const seconds = (serverMs - programMs) / 1000;
  // A stream whose programme clock has nothing to do with wall time tells no latency.
  return seconds > -2 && seconds < 86_400 ? Math.max(0, seconds) : null;
}
