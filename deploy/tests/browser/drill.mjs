// The result file of a drill in which an edge dies, with names that try to be markup.

export const EVIL = '</script><img src=x onerror="document.title=1">&\'"';

/** `seconds` of a drill of 300 viewers; its fault begins at a third of it. */
export function result(seconds = 90) {
  const [from, until] = [Math.round(seconds / 3), Math.round(seconds / 3) + 12];
  const series = Array.from({ length: seconds }, (_, t) => second(t, from, until));
  const total = (name) => series.reduce((sum, each) => sum + each[name], 0);
  const [requests, errors] = [total('requests'), total('errors')];
  return {
    verdict: 'FAIL',
    partial: false,
    invalid_because: [],
    slos: [
      { slo: 'start_ms_p95', limit: 2000, measured: 1312.767, held: true },
      { slo: 'rebuffer_ratio_max', limit: 0.01, measured: 0.0042, held: true },
      { slo: 'lateness_ms_p99', limit: 500, measured: 731.135, held: false },
      { slo: 'kbps_min', limit: 2500, measured: 2893.2, held: true },
      { slo: 'errors_max', limit: 0.001, measured: errors / requests, held: errors / requests <= 0.001 },
      { slo: 'broken_max', limit: 0, measured: 0, held: true },
    ],
    measures: {
      viewers: [300, 300, 300],
      start_ms: [640.5, 1312.767],
      unstarted: 0,
      rebuffer_ratio: 0.0042,
      stalls_per_hour: 9.5,
      lateness_ms: [81.2, 240.1, 731.135],
      latency_ms: [1520.25, 1810, 2600],
      kbps: 2893.2,
      errors: errors / requests,
      divergent: 0,
      broken: 0,
      lag_ms_p99: 1.6,
    },
    circumstances: { partial: false, basis: 'probed', offset_us: -412, probes: 240, ran_ms: seconds * 1000 },
    scenario: { viewers: 300, duration_s: seconds, stream: 'main', slo: { lateness_ms_p99: 500, latency_ms_p95: 3000 } },
    tally: {
      joined: 300, peak: 300, started: 300, requests, bytes: total('bytes'), stalls: total('stalls'),
      played_s: 25_000, stalled_s: 105, switches: 41, inspected: 4_100, compared: 9_800,
      errors: { 'playlist 503': 210, 'media connection': 51, [EVIL]: 1 },
      ends: { 'there at the end': 297, impatient: 3 },
      rungs_s: { 800: 2_000, 1600: 4_000, 3000: 19_000 },
      start: [[512_000, 100], [640_500, 150], [1_312_767, 50]],
      lateness: [[60_000, 50_000], [81_200, 30_000], [240_100, 5_000], [731_135, 900]],
      latency: [[1_520_000, 20_000], [1_810_000, 2_000], [2_600_000, 300]],
      lag: [[200, 90_000], [1_600, 3_000]],
    },
    machine: {
      began: '2026-11-20T19:30:00.000Z', processor: 'AMD EPYC 7763', cores: 8, memory_gb: 33.7, system: 'linux 6.12.0',
      version: '0.1.0', targets: ['http://127.0.0.1:8080', `http://127.0.0.1:8081/${EVIL}`], origin: 'http://127.0.0.1:9100',
    },
    timeline: {
      seconds: series,
      marks: [
        { t: from, until, kind: 'kill', node: 'edge-2', recovered_s: 3.4, bound_s: 10 },
        { t: until + 20, until: until + 26, kind: 'slow', node: EVIL, recovered_s: null, bound_s: 5 },
      ],
    },
    edges: ['http://127.0.0.1:8080', `http://127.0.0.1:8081/${EVIL}`].map((target, index) => ({
      target, requests: 80_000, errors: index * 262, bytes: 4_400_000_000, lateness_ms_p50: 80.5, lateness_ms_p99: 240 + index * 491.135,
    })),
  };
}

function second(t, from, until) {
  const viewers = Math.min(300, t * 20);
  const hit = t >= from && t < until;
  const stalled = hit ? Math.max(0, 60 - (t - from) * 8) : 0;
  const joining = t < 18 ? Math.min(viewers, 25) : 0;
  const wave = Math.sin(t * 1.7) * 18 + Math.sin(t * 0.31) * 12;
  return {
    t, stalled, joining, playing: viewers - stalled - joining,
    errors: hit ? Math.round(80 / (1 + t - from)) : 0,
    stalls: hit && t - from < 3 ? 20 : 0,
    lateness_ms_p99: t < 2 ? null : 150 + wave + (hit ? 580 / (1 + (t - from) / 3) : 0),
    latency_ms_p50: t < 2 ? null : 1520 + wave + (hit ? 220 : 0),
    requests: Math.round(viewers * 6.1), bytes: Math.round(viewers * 361_000),
  };
}
