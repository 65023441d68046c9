// The real OBS, without a screen, set up as a broadcaster would and driven through its own websocket.

import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OBSWebSocket } from 'obs-websocket-js';

const BASIC = `[General]
Name=ringside
[Video]
BaseCX=1280
BaseCY=720
OutputCX=1280
OutputCY=720
FPSCommon=30
[SimpleOutput]
VBitrate=2500
ABitrate=128
StreamEncoder=x264
Preset=ultrafast
[Output]
RetryDelay=2
`;
const GLOBAL = (port) => `[General]
FirstRun=true
Pre19Defaults=false
LastVersion=486539266
EnableAutoUpdates=false
[Basic]
Profile=ringside
ProfileDir=ringside
SceneCollection=ringside
SceneCollectionFile=ringside
[BasicWindow]
WarnBeforeStartingStream=false
WarnBeforeStoppingStream=false
[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort=${port}
AuthRequired=false
AlertsEnabled=false
`;
/** A blue scene with moving text. */
const SCENE = {
  name: 'ringside', current_scene: 'main', current_program_scene: 'main', scene_order: [{ name: 'main' }],
  sources: [
    { id: 'color_source_v3', versioned_id: 'color_source_v3', name: 'back', settings: { color: 4286578688, width: 1280, height: 720 } },
    {
      id: 'text_ft2_source_v2', versioned_id: 'text_ft2_source_v2', name: 'text',
      settings: { text: 'on air from OBS   ', font: { face: 'DejaVu Sans', size: 96, style: 'Book' } },
      filters: [{ id: 'scroll_filter', versioned_id: 'scroll_filter', name: 'scroll', settings: { speed_x: 120, loop: true } }],
    },
    {
      id: 'scene', versioned_id: 'scene', name: 'main',
      settings: {
        items: [
          { name: 'back', id: 1, visible: true, pos: { x: 0, y: 0 }, scale: { x: 1, y: 1 } },
          { name: 'text', id: 2, visible: true, pos: { x: 120, y: 300 }, scale: { x: 1, y: 1 } },
        ],
      },
    },
  ],
};

/** One OBS with a folder of its own; `start` it as often as it was killed. */
export class Obs {
  #folder;
  #port;
  #screen = null;
  #child = null;
  #socket = null;
  #display;
  /** What its output went through since the last `publish`. */
  #states = [];

  /** `port` is for its websocket. Ends with the test `t`. */
  constructor(t, folder, port) {
    this.#folder = folder;
    this.#port = port;
    const end = () => { this.kill(); this.#screen?.kill('SIGKILL'); };
    process.once('exit', end);
    t.after(() => { end(); process.off('exit', end); });
  }

  /** Starts it and waits until it can be driven; with `service` it publishes at once. */
  async start(service = null) {
    await this.#configure(service);
    this.#show();
    const home = join(this.#folder, 'home');
    const env = {
      ...process.env,
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      XDG_RUNTIME_DIR: join(this.#folder, 'run'),
      DISPLAY: `:${this.#display}`,
      LIBGL_ALWAYS_SOFTWARE: '1',
      QT_QPA_PLATFORM: 'xcb',
    };
    delete env.WAYLAND_DISPLAY;
    const args = ['--multi', '--profile', 'ringside', '--collection', 'ringside', '--disable-missing-files-check', '--minimize-to-tray'];
    if (service) args.push('--startstreaming');
    this.#child = spawn('obs', args, { env, stdio: 'ignore' });
    this.#child.on('error', (error) => { this.failed = error; });
    await this.#connect();
  }

  /** Publishes to another server from now on. */
  async publish(server, key) {
    this.#states = [];
    const streamServiceSettings = { server, key, use_auth: false };
    await this.#socket.call('SetStreamServiceSettings', { streamServiceType: 'rtmp_custom', streamServiceSettings });
    await this.#socket.call('StartStream');
  }

  /** Waits until a publish has failed: over RTMP OBS stops by itself, over SRT it tries again for ever. */
  async untilRefused(ms = 20_000) {
    const deadline = Date.now() + ms;
    while (Date.now() < deadline) {
      if (this.#states.includes('OBS_WEBSOCKET_OUTPUT_STARTED')) throw new Error('OBS was let in');
      if (this.#states.includes('OBS_WEBSOCKET_OUTPUT_STOPPED')) return;
      if (this.#states.includes('OBS_WEBSOCKET_OUTPUT_RECONNECTING')) return;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    throw new Error(`OBS was not refused: ${this.#states}`);
  }

  async stop() {
    await this.#socket.call('StopStream').catch(() => {}); // it may have stopped by itself
    await this.until(({ outputActive }) => !outputActive, 'stopped');
  }

  /** Waits for a state of its output, as the websocket tells it. */
  async until(wanted, what, ms = 15_000) {
    const deadline = Date.now() + ms;
    let status;
    while (Date.now() < deadline) {
      status = await this.#socket.call('GetStreamStatus');
      if (wanted(status)) return status;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    throw new Error(`OBS is not ${what}: ${JSON.stringify(status)}`);
  }

  /** Without a goodbye. */
  kill() {
    this.#socket?.disconnect().catch(() => {}); // it is going away
    this.#socket = null;
    this.#child?.kill('SIGKILL');
    this.#child = null;
  }

  async #configure(service) {
    const config = join(this.#folder, 'home/.config/obs-studio');
    const profile = join(config, 'basic/profiles/ringside');
    await mkdir(profile, { recursive: true });
    await mkdir(join(config, 'basic/scenes'), { recursive: true });
    await mkdir(join(this.#folder, 'run'), { recursive: true, mode: 0o700 });
    await writeFile(join(config, 'global.ini'), GLOBAL(this.#port));
    await writeFile(join(profile, 'basic.ini'), BASIC);
    const settings = { use_auth: false, server: service?.server ?? '', key: service?.key ?? '' };
    await writeFile(join(profile, 'service.json'), JSON.stringify({ type: 'rtmp_custom', settings }));
    await writeFile(join(config, 'basic/scenes/ringside.json'), JSON.stringify(SCENE));
  }

  #show() {
    if (this.#screen) return;
    this.#display = 77;
    while (existsSync(`/tmp/.X${this.#display}-lock`)) this.#display += 1;
    const args = [`:${this.#display}`, '-screen', '0', '1280x720x24', '+extension', 'GLX'];
    this.#screen = spawn('Xvfb', args, { stdio: 'ignore' });
  }

  async #connect() {
    const deadline = Date.now() + 40_000;
    while (Date.now() < deadline) {
      if (this.failed) throw this.failed;
      const socket = new OBSWebSocket();
      try {
        await socket.connect(`ws://127.0.0.1:${this.#port}`);
        socket.on('StreamStateChanged', ({ outputState }) => this.#states.push(outputState));
        this.#socket = socket;
        return;
      } catch {
        await new Promise((resolve) => { setTimeout(resolve, 200); });
      }
    }
    throw new Error('OBS does not open its websocket');
  }
}

/** What is on air, by ringside's own metrics: `source` such as "contribution". */
export async function untilOnAir(upJson, source, ms = 30_000) {
  const { ops_url } = JSON.parse(await readFile(upJson, 'utf8'));
  const line = `ringside_ingest_on_air{stream="main",source="${source}"} 1`;
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    const metrics = await fetch(`${ops_url}/metrics`).then((answer) => answer.text(), () => '');
    if (metrics.split('\n').includes(line)) return;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  throw new Error(`${source} did not go on air`);
}
