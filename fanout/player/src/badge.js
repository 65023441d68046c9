// The LIVE badge: how far the picture on screen is behind the server's clock. Pure.

// Further behind than this is not live any more ...
const BEHIND_S = 6;
// ... unless the stream's own hold-back is larger: then going live would lead nowhere.
const OVER_TARGET_S = 3;

/** `seconds`: true latency or null; `target`: the player's target latency or null; `active`: a picture is meant to move. */
export function badge({ seconds, target, active }) {
  if (!active) return { mode: 'off', text: 'LIVE', label: 'Not live' };
  if (seconds === null) return { mode: 'live', text: 'LIVE', label: 'Live' };
  if (seconds > Math.max(BEHIND_S, (target ?? 0) + OVER_TARGET_S)) {
    const whole = Math.round(seconds);
    return { mode: 'behind', text: `LIVE \u2212${distance(whole)}`, label: `${whole} seconds behind live. Go live` };
  }
  return { mode: 'live', text: `LIVE ${seconds.toFixed(1)} s`, label: `Live, ${seconds.toFixed(1)} seconds behind` };
}

function distance(seconds) {
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
