// A small crowd of players without a screen: each follows one track by blocking reloads and fetches every part.
// Usage: node crowd.mjs PLAYLIST_URL VIEWERS SECONDS. Prints how much was fetched; fails where anything was refused.

import http from 'node:http';

const [multivariant, viewers, seconds] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
const until = Date.now() + Number(seconds) * 1000;
const total = { requests: 0, bytes: 0, refused: 0 };

function get(url) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        total.requests += 1;
        total.bytes += body.length;
        if (response.statusCode !== 200) total.refused += 1;
        resolve(body);
      });
    }).on('error', reject);
  });
}

/** MSN and part that follow a playlist, and its newest part. */
function end(text) {
  let msn = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)[1]);
  let part = 0;
  let newest;
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-PART:')) {
      part += 1;
      newest = /URI="([^"]+)"/.exec(line)[1];
    } else if (line.startsWith('#EXTINF')) {
      msn += 1;
      part = 0;
    }
  }
  return { msn, part, newest };
}

async function watch(track) {
  let text = String(await get(track));
  while (Date.now() < until) {
    const { msn, part } = end(text);
    text = String(await get(`${track}?_HLS_msn=${msn}&_HLS_part=${part}`));
    await get(new URL(end(text).newest, track));
  }
}

const index = String(await get(multivariant));
const uris = index.split('\n').flatMap((line) => (line && !line.startsWith('#') ? [line] : /URI="([^"]+)"/.exec(line)?.slice(1) ?? []));
const tracks = uris.map((uri) => new URL(uri, multivariant).href);
await Promise.all(Array.from({ length: Number(viewers) }, () => Promise.all(tracks.map(watch))));
agent.destroy();
console.log(JSON.stringify(total));
process.exit(total.refused === 0 ? 0 : 1);
