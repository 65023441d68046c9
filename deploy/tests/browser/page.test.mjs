// The viewer page as a person meets it: without a stream, without a mouse, on a small screen.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, shot, untilState, up } from './browser.mjs';

const PHONE = { viewport: { width: 320, height: 568 } };

let browser;
let watch;
let playlist;
before(async () => {
  ({ watch_url: watch, playlist_url: playlist } = await up());
  browser = await launch();
});
after(() => browser?.close());

async function playing(options) {
  const page = await open(browser, watch, options);
  await untilState(page, 'playing', 60_000);
  return page;
}

/** The control with the keyboard, through shadow trees. */
const focused = () => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
  return {
    is: element.id || element.localName,
    visible: boxShadow !== 'none' || (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0),
  };
};

test('an unknown stream has not started yet, and the page keeps asking', { timeout: 60_000 }, async (t) => {
  const page = await open(browser, new URL('/watch/no-such-stream', watch).href);
  t.after(() => page.close());
  await untilState(page, 'not-started');
  await page.getByText('The stream has not started yet').first().waitFor({ state: 'visible' });
  assert.equal(await page.getByRole('status').textContent(), 'The stream has not started yet');
  await page.waitForRequest((request) => request.url().endsWith('/live/no-such-stream/index.m3u8'), { timeout: 10_000 });
  await shot(page, 'not-started');
  await page.setViewportSize(PHONE.viewport);
  await shot(page, 'not-started-320');
  assert.deepEqual(page.complaints, []);
});

test('the page asks nobody else, adds nothing to addresses, and obeys its policy', { timeout: 90_000 }, async (t) => {
  const page = await playing();
  t.after(() => page.close());
  await page.waitForTimeout(3000);
  const asked = page.requested.filter((url) => /^https?:/.test(url)).map((url) => new URL(url));
  assert.ok(asked.length > 10, `only ${asked.length} requests`);
  for (const url of asked) {
    assert.equal(url.origin, new URL(watch).origin);
    for (const name of url.searchParams.keys()) assert.match(name, /^_HLS_(msn|part|skip)$/, url.href);
  }
  const broken = await page.evaluate(() => {
    const found = [];
    const walk = (root) => {
      for (const element of root.querySelectorAll('*')) {
        if (element.localName.includes('-') && !customElements.get(element.localName)) found.push(element.localName);
        // A style sheet that the policy refuses has no sheet.
        if (element.localName === 'style' && !element.sheet) found.push(`style in ${root.host?.localName}`);
        if (element.shadowRoot) walk(element.shadowRoot);
      }
    };
    walk(document);
    return found;
  });
  assert.deepEqual(broken, []);
  assert.deepEqual(page.complaints, []);
});

test('starts muted, and says how to hear it', { timeout: 90_000 }, async (t) => {
  const page = await playing();
  t.after(() => page.close());
  assert.equal(await page.evaluate(() => window.ringside.video.muted), true);
  await page.getByRole('button', { name: 'Tap to unmute' }).click();
  assert.equal(await page.evaluate(() => window.ringside.video.muted), false);
  await page.locator('#unmute').waitFor({ state: 'hidden' });
});

test('every control is reached by keyboard, with visible focus', { timeout: 90_000 }, async (t) => {
  const page = await playing();
  t.after(() => page.close());
  const seen = new Map();
  for (let presses = 0; presses < 20; presses += 1) {
    await page.keyboard.press('Tab');
    const { is, visible } = await page.evaluate(focused);
    seen.set(is, visible);
  }
  const wanted = ['unmute', 'media-play-button', 'back', 'over', 'media-mute-button', 'badge', 'quality-button', 'media-pip-button', 'media-fullscreen-button'];
  assert.deepEqual(wanted.filter((name) => !seen.has(name)), [], `reached ${[...seen.keys()]}`);
  assert.deepEqual(wanted.filter((name) => !seen.get(name)), [], 'focus cannot be seen');
});

test('quality is chosen by keyboard, and a change of rung costs no stall', { timeout: 120_000 }, async (t) => {
  const page = await playing();
  t.after(() => page.close());
  await page.waitForTimeout(3000);
  const rungs = await page.evaluate(() => window.ringside.hls.levels.length);
  assert.ok(rungs >= 2, `only ${rungs} rung`);
  await page.locator('#quality-button').focus();
  await page.keyboard.press('Enter');
  const items = page.locator('media-rendition-menu media-chrome-menu-item');
  await items.first().waitFor({ state: 'visible' });
  for (const text of (await items.allTextContents()).slice(0, rungs)) assert.match(text, /\d+p . \d+(\.\d)? [MkG]bps/);
  await shot(page, 'quality');
  await page.waitForFunction(() => document.activeElement?.shadowRoot?.activeElement?.localName === 'media-chrome-menu-item');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => window.ringside.hls.manualLevel !== -1, null, { timeout: 5000 });

  const before = await page.evaluate(() => window.ringside.stalls);
  for (let change = 0; change < 6; change += 1) {
    // Uneven pauses: a change must be harmless at any point of a segment.
    await page.waitForTimeout(1500 + change * 370);
    await page.evaluate((level) => (window.ringside.hls.loadLevel = level), change % rungs);
    await page.waitForFunction((level) => window.ringside.hls.currentLevel === level, change % rungs, { timeout: 15_000 });
  }
  await page.waitForTimeout(2000);
  assert.equal(await page.evaluate(() => window.ringside.stalls), before);
});

test('behind the live edge the badge says so and leads back', { timeout: 90_000 }, async (t) => {
  const page = await playing();
  t.after(() => page.close());
  await page.evaluate(() => window.ringside.video.pause());
  const badge = page.getByRole('button', { name: /seconds behind live/ });
  await badge.waitFor({ state: 'visible', timeout: 20_000 });
  assert.ok((await page.evaluate(() => window.ringside.latency())) > 6);
  await shot(page, 'behind');
  await badge.click();
  await page.waitForFunction(() => window.ringside.latency() < 6 && !window.ringside.video.paused, null, { timeout: 15_000 });
});

test('fits a screen of 320 by 568', { timeout: 90_000 }, async (t) => {
  const page = await playing(PHONE);
  t.after(() => page.close());
  await page.mouse.move(100, 150);
  await page.waitForTimeout(500);
  await shot(page, 'playing-320');
  await checkFit(page);
  // With captions there is one button more.
  await page.evaluate(() => window.ringside.video.addTextTrack('subtitles', 'English', 'en'));
  await page.locator('media-captions-button').waitFor({ state: 'visible', timeout: 5000 });
  await checkFit(page);
});

async function checkFit(page) {
  const { overflow, controls } = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    controls: [...document.querySelectorAll('.bar > *')]
      .map((element) => ({ name: element.id || element.localName, ...element.getBoundingClientRect().toJSON() }))
      .filter(({ width, name }) => width > 0 && name !== 'span'),
  }));
  assert.ok(overflow <= 0, `${overflow} px too wide`);
  assert.ok(controls.length >= 5, `only ${controls.map(({ name }) => name)}`);
  for (const [index, { name, left, right }] of controls.entries()) {
    assert.ok(left >= 0 && right <= 320, `${name} ends at ${right}`);
    if (index) assert.ok(left >= controls[index - 1].right - 0.5, `${name} covers ${controls[index - 1].name}`);
  }
}

test('has the basics that assistive technology needs', { timeout: 90_000 }, async (t) => {
  const page = await playing();
  t.after(() => page.close());
  await page.waitForTimeout(1000);
  await shot(page, 'playing');
  const found = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    title: document.title,
    headings: document.querySelectorAll('h1').length,
    main: document.querySelectorAll('main').length,
    live: document.querySelector('[role=status]')?.getAttribute('aria-live'),
    zoomable: !/user-scalable=no|maximum-scale/.test(document.querySelector('meta[name=viewport]').content),
    nameless: [...document.querySelectorAll('button, [role=button], [role=slider]')]
      .filter((element) => !(element.getAttribute('aria-label') || element.textContent).trim())
      .map((element) => element.outerHTML),
  }));
  const stream = new URL(playlist).pathname.split('/').at(-2);
  assert.equal(found.lang, 'en');
  assert.ok(found.title.includes(stream), found.title);
  assert.deepEqual([found.headings, found.main, found.live, found.zoomable], [1, 1, 'polite', true]);
  assert.deepEqual(found.nameless.filter((html) => !html.includes('hidden')), []);
});

test('moves nothing for those who asked for less motion', { timeout: 90_000 }, async (t) => {
  const page = await playing({ viewport: { width: 1280, height: 720 }, reducedMotion: 'reduce' });
  t.after(() => page.close());
  const running = await page.evaluate(() =>
    [...document.querySelectorAll('.dot, .spinner')].map((element) => parseFloat(getComputedStyle(element).animationDuration)),
  );
  assert.ok(running.every((seconds) => seconds < 0.01), `${running}`);
});
