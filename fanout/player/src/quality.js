// Hands hls.js's rungs to the controls' quality menu, in the shape that menu reads (a list of video renditions).

class Renditions extends EventTarget {
  #list = [];
  #selected = -1;

  [Symbol.iterator]() {
    return this.#list[Symbol.iterator]();
  }

  get length() {
    return this.#list.length;
  }

  get selectedIndex() {
    return this.#selected;
  }

  /** -1 is Auto. */
  set selectedIndex(index) {
    if (this.#selected === index) return;
    this.#selected = index;
    this.dispatchEvent(new Event('change'));
  }

  /** A new player brings the same rungs again: the viewer's choice survives where it still exists. */
  replace(list) {
    const chosen = this.#list[this.#selected]?.id;
    this.#list = list;
    list.forEach((rendition, index) => (this[index] = rendition));
    for (let index = list.length; index in this; index += 1) delete this[index];
    this.#selected = list.findIndex(({ id }) => id === chosen);
    this.dispatchEvent(new Event('addrendition'));
    this.dispatchEvent(new Event('change'));
  }
}

/** Must run before the controls meet the video element. Returns the function that takes a player's rungs. */
export function attachQuality(video) {
  const renditions = (video.videoRenditions = new Renditions());
  let hls = null;
  const apply = () => {
    // Not `currentLevel` or `nextLevel`: they throw away buffer, and at the live edge there is none to spare.
    if (hls?.levels.length && hls.manualLevel !== renditions.selectedIndex) hls.loadLevel = renditions.selectedIndex;
  };
  renditions.addEventListener('change', apply);
  return (player) => {
    hls = player;
    renditions.replace(
      player.levels.map(({ width, height, bitrate, name }, index) => ({
        id: `${height}-${bitrate}-${name || index}`,
        width,
        height,
        bitrate,
      })),
    );
  };
}

/** "720p · 2.8 Mbps": height alone does not tell a viewer on a metered line what a rung costs. */
export function renditionText({ width, height, bitrate }) {
  const size = height ? `${Math.min(width || height, height)}p` : 'Audio only';
  return bitrate ? `${size} · ${bitrateText(bitrate)}` : size;
}

function bitrateText(bitrate) {
  return bitrate >= 1e6 ? `${(bitrate / 1e6).toFixed(1)} Mbps` : `${Math.round(bitrate / 1000)} kbps`;
}
