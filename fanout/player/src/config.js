// How hls.js is set up, each value with its reason.

import { backoff } from './retry.js';

/** Retry policy whose every delay is drawn anew; hls.js itself has no jitter. */
function retries(maxNumRetry, base, cap, random) {
  return {
    maxNumRetry,
    get retryDelayMs() {
      return backoff(0, random(), { base, cap });
    },
    get maxRetryDelayMs() {
      return backoff(0, random(), { base: cap, cap });
    },
    backoff: 'exponential',
    // hls.js gives up at the first 4xx. At the live edge a 404 means "not here yet" or "not here any more"; both pass.
    shouldRetry(policy, count, isTimeout, response, retry) {
      return retry || (response?.code === 404 && count < policy.maxNumRetry);
    },
  };
}

/** Differs from the live edge in what rewinding needs. */
export function rewindConfig() {
  return {
    // Whole segments; there are no parts this far back.
    lowLatencyMode: false,
    // Who goes back and forth does so within minutes.
    backBufferLength: 90,
    maxBufferLength: 30,
  };
}

export function hlsConfig(random = Math.random) {
  return {
    // Parts and blocking reload; also makes PART-HOLD-BACK the target latency.
    lowLatencyMode: true,
    // The page has a catch-up of its own (pace.js).
    maxLiveSyncPlaybackRate: 1,
    // hls.js adds this much target latency per stall and never gives it back; 1 s is too dear for one hiccup.
    liveSyncOnStallIncrease: 0.25,
    // Rewinding half a minute stays instant; the default keeps everything, hours of it.
    backBufferLength: 30,
    // A live stream has no end: an infinite duration makes the browser and the controls treat it as live.
    liveDurationInfinity: true,
    // Never fetch a picture larger than what is on the screen: it costs the viewer's battery and the event's bandwidth.
    capLevelToPlayerSize: true,
    // A viewer who chose a rung for its price must not be moved to a dearer one by an error, behind the menu's back.
    preserveManualLevelOnError: true,
    // A dead rung is tried again after a while instead of being shunned for the whole event.
    errorPenaltyExpireMs: 30_000,
    // Guess of the bandwidth before the first measurement. The default of 0.5 Mbit/s begins every visit with a poor picture.
    abrEwmaDefaultEstimate: 1_500_000,

    manifestLoadPolicy: {
      default: {
        // A stream that is about to start holds the request.
        maxTimeToFirstByteMs: 20_000,
        maxLoadTimeMs: 25_000,
        // The page's own state machine asks again: one layer owns each retry.
        timeoutRetry: null,
        errorRetry: null,
      },
    },
    playlistLoadPolicy: {
      default: {
        maxTimeToFirstByteMs: 10_000,
        maxLoadTimeMs: 15_000,
        timeoutRetry: retries(3, 300, 2000, random),
        // About 10 s, then hls.js tries another rung, then the state machine takes over, for ever.
        errorRetry: retries(5, 500, 4000, random),
      },
    },
    fragLoadPolicy: {
      default: {
        maxTimeToFirstByteMs: 8000,
        maxLoadTimeMs: 20_000,
        timeoutRetry: retries(2, 300, 2000, random),
        // hls.js counts the errors of all rungs and of the sound together, so four are soon used up. The live window
        // is short: a part not had within seconds is better skipped.
        errorRetry: retries(6, 300, 2000, random),
      },
    },
  };
}

/** How the player reports how it plays (CMCD version 2, by POST); nothing where the server does not want that. */
export function reportConfig(stream, { telemetry }, session, latencyMs) {
  if (telemetry !== 'on') return {};
  let timer = null;
  return {
    cmcd: {
      version: 2,
      sessionId: session,
      contentId: stream,
      // Not in the addresses of playlists and media: caches in front of the server may not know to leave it out.
      includeKeys: [],
      eventTargets: [{ url: '/cmcd', events: ['ps', 'e', 't'], interval: 10, batchSize: 1, includeKeys: ['sid', 'cid', 'bl', 'mtp', 'bs', 'msd', 'sta', 'e', 'ts', 'v', 'com.ringside-ltc'] }],
      // hls.js reports no distance to the live edge; the page measures it from the picture.
      reporterCallback(reporter) {
        clearInterval(timer);
        timer = setInterval(() => {
          const ms = latencyMs();
          if (ms !== null) reporter.updateCustomData({ 'com.ringside-ltc': Math.round(ms) });
        }, 5000);
      },
    },
  };
}

/** A name for one visit to the page, of no other use. */
export function newSession() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Stream and playlists that a page address names, or null. A playback token in front of it is carried over. */
export function playlistOf(pathname) {
  const match = /^(\/t\/[^/]+)?\/watch\/([a-z0-9][a-z0-9_-]{0,63})\/?$/.exec(pathname);
  if (!match) return null;
  const folder = `${match[1] ?? ''}/live/${match[2]}`;
  return { stream: match[2], url: `${folder}/index.m3u8`, rewindUrl: `${folder}/dvr.m3u8` };
}
