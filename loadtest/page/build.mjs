// Builds dist/: plots.js, report.css, THIRD-PARTY.txt and csp.txt (what the report may do: run these two, and nothing else).

import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const here = (path) => new URL(path, import.meta.url);

await rm(here('dist/'), { recursive: true, force: true });
await mkdir(here('dist/'), { recursive: true });
await build({
  absWorkingDir: here('.').pathname,
  entryPoints: ['src/plots.js', 'src/report.css'],
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['es2022', 'safari15.4'],
  // Licences are in THIRD-PARTY.txt, which every report carries.
  legalComments: 'none',
  logLevel: 'warning',
});

const [script, style] = await Promise.all(['dist/plots.js', 'dist/report.css'].map(text));
for (const [name, inlined] of [['script', script], ['style', style]]) {
  if (inlined.toLowerCase().includes(`</${name}`)) throw new Error(`the ${name} would end its own element`);
}
const policy = [
  "default-src 'none'",
  `script-src '${hash(script)}'`,
  `style-src '${hash(style)}'`,
  "base-uri 'none'",
  "form-action 'none'",
];
await writeFile(here('dist/csp.txt'), policy.join('; '));
const { version, license } = JSON.parse(await text('node_modules/uplot/package.json'));
await writeFile(here('dist/THIRD-PARTY.txt'), `uPlot ${version} (${license})\n\n${await text('node_modules/uplot/LICENSE')}`);

function text(path) {
  return readFile(here(path), 'utf8');
}

function hash(inlined) {
  return `sha256-${createHash('sha256').update(inlined).digest('base64')}`;
}
