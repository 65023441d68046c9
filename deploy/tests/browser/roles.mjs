// The roles of one stream as processes of their own, on loopback ports that stay the same over restarts.

import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LOG_BYTES_MAX = 64 * 1024;
const STOP_MS_MAX = 15_000;

/** Prepares ingest, packager and edge; nothing runs yet. All of it ends with the test `t`. */
export async function roles(t) {
  const binary = process.env.RINGSIDE_BINARY;
  if (!binary) throw new Error('RINGSIDE_BINARY names no ringside');
  const folder = await mkdtemp(join(tmpdir(), 'ringside-roles-'));
  const [feed, origin, http, https, rtmp, ops] = (await freePorts(6)).map((port) => `127.0.0.1:${port}`);
  const feedSecret = 'feed.secret="a secret of these tests alone"';
  const settings = {
    packager: [feedSecret, `packager.feed.listen=${feed}`, `origin.listen=${origin}`],
    ingest: [feedSecret, `ingest.packagers=["${feed}"]`, `ingest.rtmp.listen=${rtmp}`,
      'ingest.rtmps.listen=127.0.0.1:0', 'ingest.srt.listen=127.0.0.1:0'],
    edge: [`edge.parents=["http://${origin}"]`, `edge.http.listen=${http}`, `edge.https.listen=${https}`],
  };
  const all = {};
  for (const [name, set] of Object.entries(settings)) {
    const listen = name === 'ingest' ? ops : '127.0.0.1:0';
    all[name] = new Role(binary, name, [`ops.listen=${listen}`, `data.dir=${join(folder, name)}`, ...set]);
  }
  const killAll = () => Object.values(all).forEach((role) => role.kill());
  process.once('exit', killAll);
  t.after(async () => {
    await Promise.all(Object.values(all).map((role) => role.stop('SIGKILL')));
    process.off('exit', killAll);
    await rm(folder, { recursive: true, force: true });
  });
  return {
    ...all,
    http: `http://${http}`,
    https: `https://${https}`,
    /** Operators' port of the ingest. */
    ops: `http://${ops}`,
    /** Where encoders publish, once the ingest runs. */
    publish: async () => `rtmp://${rtmp}/live/${(await readFile(join(folder, 'ingest', 'stream-key'), 'utf8')).trim()}`,
    logs: () => Object.values(all).map(String).join('\n'),
  };
}

export class Role {
  #binary;
  #name;
  #args;
  #child = null;
  #log = '';

  constructor(binary, name, set) {
    this.#binary = binary;
    this.#name = name;
    this.#args = [name, ...set.flatMap((pair) => ['--set', pair])];
  }

  start() {
    if (this.#running()) throw new Error(`${this.#name} runs already`);
    this.#child = spawn(this.#binary, this.#args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => this.#note(`${error}\n`));
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.on('data', (data) => this.#note(data));
  }

  /** Sends the signal and waits for the end; returns the exit code, null where a signal ended it. */
  async stop(signal) {
    if (this.#running()) {
      const ended = once(this.#child, 'exit', { signal: AbortSignal.timeout(STOP_MS_MAX) });
      this.#child.kill(signal);
      await ended;
    }
    return this.#child?.exitCode ?? null;
  }

  get pid() {
    return this.#child?.pid;
  }

  kill() {
    if (this.#running()) this.#child.kill('SIGKILL');
  }

  toString() {
    return `--- ${this.#name}${this.#running() ? '' : ' (not running)'}\n${this.#log}`;
  }

  #running() {
    const child = this.#child;
    return Boolean(child?.pid) && child.exitCode === null && child.signalCode === null;
  }

  #note(data) {
    this.#log = (this.#log + data).slice(-LOG_BYTES_MAX);
  }
}

/** Ports below those the system gives to outgoing connections: one of a stopped role is still free when it returns. */
export async function freePorts(count) {
  const servers = [];
  for (let tries = 0; servers.length < count && tries < 100; tries += 1) {
    const server = createServer();
    const listening = once(server, 'listening');
    server.listen(randomInt(20_000, 32_000), '127.0.0.1');
    await listening.then(() => servers.push(server), () => {});
  }
  if (servers.length < count) throw new Error('no free ports');
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => { server.close(resolve); })));
  return ports;
}
