// Watches whether the picture moves. Pure: positions and times are handed in.

// Shorter than any stall a viewer would notice twice, longer than a late timer.
const STALL_MS = 500;
// From here on the page says so.
const TELL_MS = 2000;

export class Progress {
  #position = null;
  #movedAt = 0;
  #counted = false;
  #expected = false;
  stalls = 0;

  /** Returns 'progress', 'stalled', or null. `expected`: the picture is meant to move. */
  look({ now, position, expected }) {
    const resumed = expected && !this.#expected;
    this.#expected = expected;
    // The time before the first look at a picture that should move says nothing.
    if (!expected || resumed) return this.#restart(now, position);
    if (position !== this.#position) {
      this.#restart(now, position);
      return 'progress';
    }
    const still = now - this.#movedAt;
    if (still >= STALL_MS && !this.#counted) {
      this.#counted = true;
      this.stalls += 1;
    }
    return still >= TELL_MS ? 'stalled' : null;
  }

  #restart(now, position) {
    this.#position = position;
    this.#movedAt = now;
    this.#counted = false;
    return null;
  }
}
