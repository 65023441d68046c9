// Draws the timeline of a drill from the series that the report carries.

import uPlot from 'uplot';

const SERIES = 'series';
const HEIGHT = 220;
const SYNC = 'drill';
const DAY = matchMedia('(prefers-color-scheme: light)');

const { seconds, marks, limits } = JSON.parse(document.getElementById(SERIES).textContent);
const at = seconds.map((second) => second.t);
const column = (name) => seconds.map((second) => second[name]);

const PLOTS = {
  viewers: {
    unit: 'viewers',
    lines: [
      { label: 'playing', color: 'good', values: column('playing'), filled: true },
      { label: 'joining', color: 'blue', values: column('joining') },
      { label: 'stalled', color: 'bad', values: column('stalled'), dash: [6, 3] },
    ],
  },
  lateness: {
    unit: 'ms',
    lines: [
      { label: 'part lateness p99', color: 'blue', values: column('lateness_ms_p99') },
      limit('limit', limits.lateness_ms_p99),
    ],
  },
  latency: {
    unit: 'ms',
    lines: [
      { label: 'behind live p50', color: 'violet', values: column('latency_ms_p50') },
      limit('limit, p95', limits.latency_ms_p95),
    ],
  },
  trouble: {
    unit: 'in the second',
    lines: [
      { label: 'errors', color: 'bad', values: column('errors'), filled: true },
      { label: 'stalls', color: 'warn', values: column('stalls'), dash: [6, 3] },
    ],
  },
  traffic: {
    unit: 'requests/s',
    lines: [
      { label: 'requests/s', color: 'blue', values: column('requests') },
      { label: 'Mbit/s', color: 'good', values: seconds.map((second) => (second.bytes * 8) / 1e6), scale: 'rate', dash: [6, 3] },
    ],
  },
};

function limit(label, value) {
  return { label, color: 'warn', values: at.map(() => value ?? null), dash: [3, 4], hidden: value == null };
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Faults lie behind the lines; their letters are those of the table below.
function faults() {
  return {
    hooks: {
      drawClear: (plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
        ctx.clip();
        ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
        marks.forEach((mark, index) => {
          const [from, to] = [mark.t, mark.until ?? mark.t].map((t) => plot.valToPos(t, 'x', true));
          ctx.fillStyle = color('fault');
          ctx.fillRect(from, bbox.top, Math.max(to - from, 2 * devicePixelRatio), bbox.height);
          ctx.fillStyle = color('bad');
          ctx.fillRect(from, bbox.top, devicePixelRatio, bbox.height);
          ctx.fillText(letter(index), from + 3 * devicePixelRatio, bbox.top + 13 * devicePixelRatio);
        });
        ctx.restore();
      },
    },
  };
}

function letter(index) {
  return index < 26 ? String.fromCharCode(65 + index) : String(index + 1);
}

const brief = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const duration = (t) => `${Math.floor(t / 60)}:${String(Math.round(t % 60)).padStart(2, '0')}`;
const shown = (value) => (value == null ? 'none' : exact.format(value));

function axis(scale, side) {
  const line = { stroke: color('line'), width: 1 };
  return {
    scale,
    side,
    stroke: color('soft'),
    font: '12px system-ui, sans-serif',
    grid: { ...line, show: side !== 1 },
    ticks: { ...line, size: 4 },
    size: side === 2 ? 28 : 46,
    values: (_, ticks) => ticks.map(side === 2 ? duration : (value) => brief.format(value)),
    ...(side === 2 && { space: 60, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600] }),
  };
}

const fromZero = (_, __, most) => [0, most > 0 ? most * 1.1 : 1];

function draw(place, { lines, unit }) {
  const shownLines = lines.filter((line) => !line.hidden);
  const second = shownLines.some((line) => line.scale === 'rate');
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false, setScale: true } },
    legend: { live: true },
    scales: { x: { time: false }, y: { range: fromZero }, ...(second && { rate: { range: fromZero } }) },
    axes: [axis('x', 2), axis('y', 3), ...(second ? [axis('rate', 1)] : [])],
    series: [
      { label: 'time', value: (_, value) => (value == null ? '–' : duration(value)) },
      ...shownLines.map((line) => ({
        label: line.label,
        scale: line.scale ?? 'y',
        stroke: color(line.color),
        fill: line.filled ? `${color(line.color)}2e` : undefined,
        width: 2,
        dash: line.dash,
        points: { show: seconds.length < 3, size: 5 },
        value: (_, value) => (value == null ? '–' : exact.format(value)),
      })),
    ],
    plugins: [faults()],
  };
  const plot = new uPlot(options, [at, ...shownLines.map((line) => line.values)], place);
  byKeys(place, plot, shownLines, unit);
  return plot;
}

// Arrows walk through the seconds; what is there is said aloud.
function byKeys(place, plot, lines, unit) {
  const said = place.parentElement.querySelector('output');
  place.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (event.key === 'Escape') plot.setScale('x', { min: at[0], max: at.at(-1) });
    if (!(event.key in steps)) return;
    event.preventDefault();
    const now = plot.cursor.idx ?? (steps[event.key] > 0 ? -1 : at.length);
    const index = Math.min(Math.max(now + steps[event.key], 0), at.length - 1);
    plot.setCursor({ left: plot.valToPos(at[index], 'x'), top: HEIGHT / 3 });
    const values = lines.map((line) => `${line.label} ${shown(line.values[index])}`);
    said.textContent = `${duration(at[index])}: ${values.join(', ')} (${unit})`;
  };
}

const places = [...document.querySelectorAll('[data-plot]')];
let drawn = [];

function redraw() {
  for (const plot of drawn) plot.destroy();
  drawn = places.map((place) => draw(place, PLOTS[place.dataset.plot]));
}

if (seconds.length > 0 && places.length > 0) {
  document.getElementById('unplotted')?.remove();
  redraw();
  DAY.addEventListener('change', redraw);
  let wide = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth !== wide) {
      wide = innerWidth;
      drawn.forEach((plot, index) => plot.setSize({ width: places[index].clientWidth, height: HEIGHT }));
    }
  });
  // On paper there is light, and a page is narrower than the window.
  for (const [event, paper] of [['beforeprint', true], ['afterprint', false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle('paper', paper);
      redraw();
    });
  }
}
