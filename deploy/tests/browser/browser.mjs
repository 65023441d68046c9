// Starts Debian's Chromium and opens pages in it.

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
  '--ignore-certificate-errors',
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
}

/** Opens a page and keeps what it complained about: `page.complaints` and `page.requested`. */
export async function open(browser, url, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, ...options });
  page.complaints = [];
  page.requested = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    // Chromium reports every failed request as a console error; tests look at requests themselves.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) page.complaints.push(message.text());
  });
  page.on('request', (request) => page.requested.push(request.url()));
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  return page;
}

/** Waits until `window.ringside.state()` is `name`; on time-out says what it was. */
export async function untilState(page, name, timeout = 30_000) {
  try {
    await page.waitForFunction((wanted) => window.ringside?.state() === wanted, name, { timeout });
  } catch {
    throw new Error(`page is "${await page.evaluate(() => window.ringside?.state())}" after ${timeout} ms, not "${name}"`);
  }
}

/** Saves a picture of the page where RINGSIDE_SHOTS names a folder. */
export async function shot(page, name, options = {}) {
  const folder = process.env.RINGSIDE_SHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), ...options });
}

/** The addresses of the running ringside. */
export async function up() {
  const file = process.env.RINGSIDE_UP_JSON;
  if (!file) throw new Error('RINGSIDE_UP_JSON names no up.json of a running ringside');
  return JSON.parse(await readFile(file, 'utf8'));
}
