// Reads the burnt-in test clock from the picture on screen: the top twelfth is 20 equal cells, left to right bits 0 to 19
// of Unix milliseconds, luma 235 for 1 and 16 for 0.

/** Runs inside the page. Keeps `window.pictureClock` up to date with every frame that `video` displays. */
export function readPictureClock() {
  const CELLS = 20;
  const WRAP = 2 ** CELLS;
  const video = window.ringside.video;
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const clock = (window.pictureClock = { frames: 0, unreadable: 0, samples: [], stalls: [], waiting: 0 });

  const onFrame = () => {
    const now = Date.now();
    clock.frames += 1;
    const value = read();
    if (value === null) clock.unreadable += 1;
    else clock.samples.push((((now - value) % WRAP) + WRAP) % WRAP);
    video.requestVideoFrameCallback(onFrame);
  };

  function read() {
    const [width, height] = [video.videoWidth, Math.floor(video.videoHeight / 12)];
    if (!width || !height) return null;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.drawImage(video, 0, 0, width, height, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    let value = 0;
    for (let cell = 0; cell < CELLS; cell += 1) {
      const level = centre(data, width, height, cell);
      // Neither black nor white: a blend of two frames, or no clock at all.
      if (level >= 90 && level <= 165) return null;
      if (level > 128) value += 2 ** cell;
    }
    return value;
  }

  /** Mean green of the middle third of a cell: its rims are blurred by scaling and compression. */
  function centre(data, width, height, cell) {
    const step = width / CELLS;
    const [left, right] = [Math.floor(step * (cell + 1 / 3)), Math.ceil(step * (cell + 2 / 3))];
    const [top, bottom] = [Math.floor(height / 3), Math.ceil((height * 2) / 3)];
    let sum = 0;
    for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1) sum += data[(y * width + x) * 4 + 1];
    return sum / ((right - left) * (bottom - top));
  }

  let position = video.currentTime;
  let movedAt = performance.now();
  let counted = false;
  setInterval(() => {
    const now = performance.now();
    if (video.currentTime !== position || video.paused) {
      position = video.currentTime;
      movedAt = now;
      counted = false;
    } else if (now - movedAt > 300) {
      if (!counted) clock.stalls.push({ at: Math.round(now), position });
      counted = true;
      clock.stalls.at(-1).ms = Math.round(now - movedAt);
    }
  }, 50);
  video.addEventListener('waiting', () => (clock.waiting += 1));
  video.requestVideoFrameCallback(onFrame);
}

/** The p-th percentile (0 to 1) of numbers. */
export function percentile(numbers, p) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
}
