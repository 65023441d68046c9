// What one player shows of a running stream, as a row of README's table.
// Usage: node players-figure.mjs PLAYER PLAYLIST_URL PROFILE MINUTES HOW_QUIET

import { launch } from './browser.mjs';
import { measure, openPlayer, PLAYERS, servePlayers } from './players.mjs';

const SETTLE_MS = 5_000;

const [name, playlist, profile, minutes, quiet] = process.argv.slice(2);
const [browser, served] = [await launch(), await servePlayers()];
const page = await openPlayer(browser, served, name, playlist);
await page.waitForTimeout(SETTLE_MS);
const end = await measure(page);
await page.waitForTimeout(Number(minutes) * 60_000);
const seen = await end();
const width = await page.evaluate(() => window.ringside.video.videoWidth);
await browser.close();
served.close();

const faults = [
  seen.unreadable > seen.frames / 10 && `INVALID: no clock in ${seen.unreadable} of ${seen.frames} frames`,
  seen.fatal.length > 0 && `gave up: ${seen.fatal.join(', ')}`,
].filter(Boolean);
const cells = [
  `${name} ${seen.version.replace(/^v/, '')}`,
  `\`${profile}\``,
  PLAYERS[name].set,
  `${seen.p50} / ${seen.p99} ms`,
  `${seen.stalls} / ${(seen.stalledMs / 1000).toFixed(1)} s`,
  `${(seen.firstPictureMs / 1000).toFixed(1)} s`,
  [`${minutes} min, ${width} wide`, quiet, ...faults].join('; '),
];
console.log(`| ${cells.join(' | ')} |`);
process.exit(faults.length > 0 ? 1 : 0);
