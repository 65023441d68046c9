// An evening of misbehaving encoders in front of one viewer. Usage: node soak.mjs MINUTES

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, open, untilState } from './browser.mjs';
import { freePorts, Role } from './roles.mjs';

const minutes = Number(process.argv[2] ?? 60);
const MINUTE_MS = 60_000;
const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** ffmpeg with moving pictures and a tone; `to` is an output with its options. */
class Encoder {
  #child;

  constructor({ size = '640x360', rate = 30, video = ['libx264', '-preset', 'ultrafast', '-tune', 'zerolatency'], audio = 48_000, more = [], picture = true }, to) {
    const inputs = picture ? ['-re', '-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${rate}`] : [];
    this.#child = spawn('ffmpeg', [
      '-hide_banner', '-loglevel', 'fatal', '-nostdin', ...inputs,
      '-re', '-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${audio}`,
      ...(picture ? ['-c:v', ...video, '-g', '60', '-pix_fmt', 'yuv420p', '-b:v', '1500k'] : []),
      '-c:a', 'aac', '-b:a', '96k', ...more, ...to,
    ], { stdio: 'ignore' });
  }

  signal(name) { this.#child.kill(name); }

  kill() { this.#child.kill('SIGKILL'); }
}

const HEVC = ['libx265', '-preset', 'ultrafast', '-tune', 'zerolatency', '-x265-params', 'log-level=none'];

/** What happens in a minute: each takes the encoders that run and leaves those that shall. */
function scenes({ rtmp, srt }) {
  const plain = () => new Encoder({}, rtmp());
  return [
    ['dies and comes back over SRT as HEVC', async ([first]) => {
      first.kill();
      await wait(5_000);
      return [new Encoder({ video: HEVC }, srt())];
    }],
    ['stalls for six seconds', async (all) => {
      all[0].signal('SIGSTOP');
      await wait(6_000);
      all[0].signal('SIGCONT');
      return all;
    }],
    ['is taken over by another size, rate and sample rate', async ([first]) => {
      const next = new Encoder({ size: '480x640', rate: 25, audio: 44_100 }, rtmp());
      await wait(5_000);
      first.kill();
      return [next];
    }],
    ['comes back an hour ahead', async ([first]) => {
      first.kill();
      return [new Encoder({ more: ['-output_ts_offset', '3600'] }, rtmp())];
    }],
    ['gets a backup, dies, and returns', async ([first]) => {
      const backup = new Encoder({ size: '1280x720' }, srt('backup'));
      await wait(10_000);
      first.kill();
      await wait(10_000);
      return [plain(), backup];
    }],
    ['loses its backup and its picture', async ([first, backup]) => {
      backup?.kill();
      first.kill();
      const voice = new Encoder({ picture: false }, rtmp());
      await wait(8_000);
      voice.kill();
      return [plain()];
    }],
    ['connects and drops ten times', async ([first]) => {
      first.kill();
      for (let n = 0; n < 10; n += 1) {
        const brief = plain();
        await wait(1_500);
        brief.kill();
      }
      return [plain()];
    }],
  ];
}

const folder = await mkdtemp(join(tmpdir(), 'ringside-soak-'));
const names = ['ingest.rtmp', 'ingest.rtmps', 'ingest.srt', 'edge.http', 'edge.https', 'ops', 'origin', 'packager.feed'];
const ports = await freePorts(names.length);
const up = new Role(process.env.RINGSIDE_BINARY, 'up', [`data.dir=${folder}`, ...names.map((name, n) => `${name}.listen=127.0.0.1:${ports[n]}`)]);
let encoders = [];
let browser;
let failed = true;
process.once('exit', () => { encoders.forEach((encoder) => encoder.kill()); up.kill(); });

try {
  up.start();
  const json = await untilUp(join(folder, 'up.json'));
  const rtmp = () => ['-f', 'flv', `${json.rtmp_server}/${json.stream_key}`];
  const srt = (role = 'primary') => ['-f', 'mpegts', `${json.srt_url.replace(/streamid=.*/, '')}streamid=%23!::s%3D${json.stream_key},role%3D${role}&pkt_size=1316`];
  browser = await launch();
  const page = await open(browser, json.watch_url);
  await untilState(page, 'playing', 30_000);
  const all = scenes({ rtmp, srt });
  encoders = [new Encoder({}, rtmp())];
  const start = Date.now();
  const memory = [];
  for (let minute = 0; minute < minutes; minute += 1) {
    const [what, act] = all[minute % all.length];
    encoders = await act(encoders);
    await wait(Math.max(0, start + (minute + 1) * MINUTE_MS - Date.now()));
    const seen = await page.evaluate(() => ({ state: window.ringside.state(), stalls: window.ringside.stalls }));
    memory.push(await residentMb());
    console.log(`${String(minute + 1).padStart(3)} min  ${seen.state}, ${seen.stalls} stalls, ${memory.at(-1)} MB  the encoder ${what}`);
    if (seen.state !== 'playing') throw new Error(`the page is "${seen.state}"`);
  }
  const stalls = await page.evaluate(() => window.ringside.stalls);
  if (stalls > 0) throw new Error(`${stalls} stalls`);
  if (page.complaints.length > 0) throw new Error(page.complaints.join('\n'));
  console.log(`${minutes} minutes, no stall; memory ${memory[0]} MB after the first minute, ${memory.at(-1)} MB at the end`);
  failed = false;
} catch (error) {
  console.error(`${error.stack}\n${up}`);
} finally {
  await browser?.close();
  encoders.forEach((encoder) => encoder.kill());
  await up.stop('SIGTERM');
  await rm(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function untilUp(file) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text) return JSON.parse(text);
    await wait(100);
  }
  throw new Error('ringside did not come up');
}

/** Resident memory of the server, MB. */
async function residentMb() {
  const status = await readFile(`/proc/${up.pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024);
}
