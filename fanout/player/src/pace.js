// How fast to play so that the picture keeps the distance the server asks for. Pure: what is measured is handed in.
//
// hls.js only hurries with more than a second in hand, so it never comes near a PART-HOLD-BACK of less; and it never
// slows down. Here a part in hand is enough, and who came too near the edge falls back without a stall.

const FASTEST = 1.5;
const SLOWEST = 0.95;
// Seconds off the mark from which something is done, and up to which it goes on.
const BEGIN = 0.06;
const END = 0.02;
// A viewer further behind than this many seconds, and a target duration, has chosen to be there.
const LIVE = 1;
// Never hurry with less in hand; late timers and slow decoders take that much.
const LEAST_IN_HAND = 0.25;

export class Pace {
  /** -1 slower, 0 as it is, 1 faster. */
  #way = 0;

  /**
   * Seconds all: `behind` the position that is wanted (negative: too near the edge), `inHand` from the position to the end
   * of what is buffered, `part` and `segment` the longest there may be. Returns the playback rate.
   */
  rate({ behind, inHand, part, segment }) {
    const known = [behind, inHand, part, segment].every(Number.isFinite);
    if (!known || behind > LIVE + segment) {
      this.#way = 0;
      return 1;
    }
    this.#way = this.#turn(behind);
    if (this.#way > 0) {
      const room = inHand - Math.max(LEAST_IN_HAND, part);
      return steps(Math.min(FASTEST, 1 + behind / 2, 1 + room));
    }
    return this.#way < 0 ? SLOWEST : 1;
  }

  #turn(behind) {
    const off = Math.abs(behind);
    const way = Math.sign(behind);
    if (off > BEGIN) return way;
    return off > END && way === this.#way ? way : 0;
  }
}

/** Whole steps of 0.01, so that the element is not told anew for nothing; never slower than it is. */
function steps(rate) {
  return Math.max(1, Math.ceil(rate * 100) / 100);
}
