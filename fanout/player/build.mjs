// Builds dist/: watch.html, assets/, THIRD-PARTY.txt and csp.txt (the strictest policy the page runs under).

import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { thirdParty } from './licences.mjs';
import { styleHashes } from './styles.mjs';

const here = (path) => new URL(path, import.meta.url);

await rm(here('dist/'), { recursive: true, force: true });
await mkdir(here('dist/assets/'), { recursive: true });

const { metafile } = await build({
  absWorkingDir: here('.').pathname,
  entryPoints: ['src/watch.js', 'src/watch.css'],
  entryNames: '[name]',
  outdir: 'dist/assets',
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'safari15.4'],
  // Licences are in THIRD-PARTY.txt.
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

await copyFile(here('src/watch.html'), here('dist/watch.html'));
await copyFile(here('src/icon.svg'), here('dist/assets/icon.svg'));
await writeFile(here('dist/THIRD-PARTY.txt'), await thirdParty(Object.keys(metafile.inputs)));
await writeFile(here('dist/csp.txt'), `${policy(await styleHashes())}\n`);

function policy(styles) {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' ${styles.join(' ')}`,
    "img-src 'self' data:",
    "font-src 'self'",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join('; ');
}
