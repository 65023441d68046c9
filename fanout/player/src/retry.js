// Delays between attempts. Pure: randomness is handed in, so that tests can pin it.

/** Exponential backoff in milliseconds, spread over 50..150 % so that a crowd does not return in step. */
export function backoff(attempt, random, { base = 1000, cap = 8000 } = {}) {
  const centre = Math.min(cap, base * 2 ** Math.min(attempt, 16));
  return Math.round(centre * (0.5 + random));
}

/** Evenly spread delay in milliseconds. */
export function between(low, high, random) {
  return Math.round(low + (high - low) * random);
}
