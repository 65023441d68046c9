// An encoder with the test clock in its picture: raw frames drawn here, coded and sent by ffmpeg.
// Usage: node publisher.mjs RTMP_URL [SECONDS]

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const [url, seconds = '600'] = process.argv.slice(2);
const [width, height, rate] = [640, 360, 30];
const cells = 20;
const clockHeight = height / 12;

const ffmpeg = spawn('ffmpeg', [
  ...['-hide_banner', '-loglevel', 'error', '-f', 'rawvideo', '-pix_fmt', 'yuv420p'],
  ...['-s', `${width}x${height}`, '-r', `${rate}`, '-i', 'pipe:0', '-f', 'lavfi', '-i', 'sine=f=330:r=48000'],
  ...['-map', '0:v', '-map', '1:a', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency'],
  ...['-b:v', '2500k', '-g', `${2 * rate}`, '-c:a', 'aac', '-b:a', '128k', '-f', 'flv', url],
], { stdio: ['pipe', 'inherit', 'inherit'] });
ffmpeg.stdin.on('error', () => {}); // ffmpeg says itself why it left
ffmpeg.on('exit', (code) => process.exit(code ?? 1));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ffmpeg.kill('SIGKILL'));

const luma = width * height;
const frame = Buffer.alloc(luma * 1.5, 128);

/** Stamps the time of capture and moves a bar, so that every frame differs. Green tells it from the test picture. */
function draw(number) {
  frame.fill(96, 0, luma);
  frame.fill(80, luma);
  const ms = BigInt(Date.now()) & 0xfffffn;
  for (let x = 0; x < width; x += 1) {
    const bit = (ms >> BigInt(Math.floor((x * cells) / width))) & 1n;
    for (let y = 0; y < clockHeight; y += 1) frame[y * width + x] = bit ? 235 : 16;
  }
  const bar = (number * 4) % (width - 20);
  for (let y = 100; y < 300; y += 1) frame.fill(200, y * width + bar, y * width + bar + 20);
}

const start = performance.now();
for (let number = 0; number < rate * Number(seconds); number += 1) {
  const wait = start + (number * 1000) / rate - performance.now();
  if (wait > 0) await new Promise((resolve) => { setTimeout(resolve, wait); });
  draw(number);
  if (!ffmpeg.stdin.write(frame)) await once(ffmpeg.stdin, 'drain').catch(() => {});
}
ffmpeg.stdin.end();
