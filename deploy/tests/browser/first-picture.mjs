// Seconds from a moment (Unix seconds) until Chromium shows the first frame of a watch page.
// Usage: node first-picture.mjs WATCH_URL SINCE

import { launch, open } from './browser.mjs';

const [url, since] = process.argv.slice(2);
const browser = await launch();
const page = await open(browser, url);
await page.waitForFunction(() => window.ringside?.video.videoWidth > 0 && window.ringside.video.currentTime > 0, null, { timeout: 30_000, polling: 20 });
console.log(((Date.now() / 1000) - Number(since)).toFixed(1));
await browser.close();
