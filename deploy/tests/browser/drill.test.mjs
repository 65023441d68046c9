// The report of a drill, opened from disk: in light and in dark, wide and narrow, by keys, and against an older run.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch, open, shot } from './browser.mjs';
import { EVIL, result } from './drill.mjs';

const PLOTS = 5;

test('the report of a drill opens from disk', { timeout: 120_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ringside-drill-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = (name) => join(folder, name);
  await writeFile(file('new.json'), JSON.stringify(result()));
  const older = result();
  for (const second of older.timeline.seconds) if (second.lateness_ms_p99) second.lateness_ms_p99 -= 60;
  await writeFile(file('old.json'), JSON.stringify(older));
  const wanted = ['--html', file('report.html'), '--junit', file('junit.xml'), '--json', file('again.json')];
  const made = spawnSync(process.env.RINGSIDE_BINARY, ['drill', '--render', file('new.json'), '--baseline', file('old.json'), ...wanted]);
  assert.equal(made.status, 1, `it exits as the drill did\n${made.stderr}`);
  assert.match(String(made.stdout), /lateness_ms .*: worse/);

  const browser = await launch();
  t.after(() => browser.close());
  const address = pathToFileURL(file('report.html')).href;
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 320]) {
      await t.test(`${colorScheme}, ${width} px`, async () => {
        const page = await open(browser, address, { colorScheme, viewport: { width, height: 800 } });
        await page.waitForFunction((n) => document.querySelectorAll('[data-plot] canvas').length === n, PLOTS);
        assert.deepEqual(page.complaints, []);
        assert.deepEqual(page.requested, [address], 'it asks for nothing');
        assert.equal(await page.title(), 'FAIL: drill of main');
        assert.equal(await page.locator('.verdict strong').innerText(), '✗ FAIL');
        assert.ok(await page.getByText(EVIL).count() > 2, 'names are text');
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${wide} px on ${width}`);
        await shot(page, `drill-${colorScheme}-${width}`, { fullPage: true });
        await page.close();
      });
    }
  }

  await t.test('figures are those of the file', async () => {
    const page = await open(browser, address);
    const again = JSON.parse(await readFile(file('again.json'), 'utf8'));
    const measured = await page.locator('section', { hasText: 'What was asked for' }).first().locator('tbody tr')
      .evaluateAll((rows) => rows.map((row) => Number(row.querySelector('data').value)));
    assert.deepEqual(measured, again.slos.map((slo) => slo.measured));
    await page.close();
  });

  await t.test('keys walk through a plot, and it is said', async () => {
    const page = await open(browser, address);
    await page.locator('[data-plot=lateness]').focus();
    for (const key of ['Home', 'PageDown', 'ArrowRight']) await page.keyboard.press(key);
    const { lateness_ms_p99 } = result().timeline.seconds[11];
    const said = await page.locator('.plot', { hasText: 'Lateness of parts' }).locator('output').innerText();
    assert.ok(said.startsWith(`0:11: part lateness p99 ${Number(lateness_ms_p99.toFixed(2))},`), said);
    await page.close();
  });

  await t.test('without scripts everything but the plots is there, and paper is light', async () => {
    const page = await open(browser, address, { javaScriptEnabled: false, colorScheme: 'dark' });
    await page.emulateMedia({ media: 'print' });
    assert.ok(await page.getByText('The plots need scripts').isVisible());
    assert.ok(await page.getByText('Part lateness, p99', { exact: true }).first().isVisible());
    const [ink, ground] = await page.evaluate(() => ['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name]));
    assert.deepEqual([ink, ground], ['rgb(22, 32, 44)', 'rgb(255, 255, 255)']);
    await page.close();
  });
});
