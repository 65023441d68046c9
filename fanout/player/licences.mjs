// Collects the licences of what ended up in the bundle.

import { readFile } from 'node:fs/promises';

// Parts of hls.js's bundle that carry no notice of their own there.
const WITHIN_HLS = `eventemitter3 (MIT, text as under media-chrome), Copyright (c) 2014 Arnout Kazemier
url-toolkit (Apache-2.0), Copyright (c) Tom Jenkinson
@svta/common-media-library (Apache-2.0), Copyright (c) Streaming Video Technology Alliance`;

/** `inputs`: the files esbuild bundled, relative to the package. */
export async function thirdParty(inputs) {
  const names = new Set();
  for (const input of inputs) {
    const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) names.add(match[1]);
  }
  const sections = await Promise.all([...names].sort().map(section));
  return `The viewer page contains the following third-party software.\n\n${sections.join('\n')}`;
}

async function section(name) {
  const folder = new URL(`node_modules/${name}/`, import.meta.url);
  const { version, license } = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'));
  const text = await readFile(new URL('LICENSE', folder), 'utf8');
  const within = name === 'hls.js' ? `\nContained in it:\n\n${WITHIN_HLS}\n\n${await notices(folder)}\n` : '';
  return `${'='.repeat(72)}\n${name} ${version} (${license})\n\n${text.trim()}\n${within}`;
}

/** The notices inside the bundled source, verbatim. */
async function notices(folder) {
  const source = await readFile(new URL('dist/hls.mjs', folder), 'utf8');
  return source.match(/\/\*[^]*?\*\//g).filter((comment) => /copyright/i.test(comment)).join('\n\n');
}
