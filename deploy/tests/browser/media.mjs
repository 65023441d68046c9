// Lists the packets of fragmented MP4 with ffprobe.

import { spawn } from 'node:child_process';

/** Takes an initialization segment and parts; returns `{ timescale, list: [{ pts, dts, key }] }` in ticks. */
export async function packets(...chunks) {
  const output = await ffprobe(Buffer.concat(chunks));
  const { streams, packets: found } = JSON.parse(output);
  if (streams.length !== 1) throw new Error(`${streams.length} streams in one track`);
  const [numerator, denominator] = streams[0].time_base.split('/').map(Number);
  const list = found.map(({ pts, dts, flags }) => ({ pts, dts, key: flags.includes('K') }));
  return { timescale: denominator / numerator, list };
}

function ffprobe(input) {
  const args = ['-v', 'error', '-f', 'mp4', '-show_entries', 'packet=pts,dts,flags:stream=time_base', '-of', 'json', '-'];
  return new Promise((resolve, reject) => {
    const child = spawn('ffprobe', args, { timeout: 30_000 });
    const [out, complaints] = [[], []];
    child.stdout.on('data', (data) => out.push(data));
    child.stderr.on('data', (data) => complaints.push(data));
    child.on('error', reject);
    child.on('close', (code) => {
      const complaint = Buffer.concat(complaints).toString();
      if (code !== 0 || complaint) reject(new Error(`ffprobe ended with ${code}: ${complaint}`));
      else resolve(Buffer.concat(out).toString());
    });
    // ffprobe may stop reading once it has what it needs.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
