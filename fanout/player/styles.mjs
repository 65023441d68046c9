// Hashes of the style sheets that the controls carry in their shadow trees, for a policy without 'unsafe-inline'.

import { createHash } from 'node:crypto';
import { globalThis as shim } from 'media-chrome/dist/utils/server-safe-globals.js';

/** Loads the controls outside of a browser and returns one CSP source per distinct sheet. */
export async function styleHashes() {
  const defined = [];
  shim.customElements.define = (_, element) => defined.push(element);
  await import('./src/controls.js');
  const sheets = defined
    .filter((element) => element.getTemplateHTML)
    .flatMap((element) => [...element.getTemplateHTML({}, {}).matchAll(/<style[^>]*>([^]*?)<\/style>/g)])
    .map(([, text]) => text);
  return [...new Set(sheets.map((text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`))].sort();
}
