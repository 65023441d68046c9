// What tells the pictures apart: one spot's colour, as the decoder gives it.

/** Spot as a share of width and height, and what its colour has to look like. */
export const PICTURES = {
  test: { x: 0.06, y: 0.4, looks: ({ r, g, b }) => Math.abs(r - g) < 25 && Math.abs(g - b) < 25 && r > 150 },
  encoder: { x: 0.01, y: 0.2, looks: ({ r, g, b }) => g > r + 40 && g > b + 20 },
  obs: { x: 0.03, y: 0.85, looks: ({ r, g, b }) => b > r + 40 && b > g + 20 },
  slate: { x: 0.03, y: 0.85, looks: ({ r, g, b }) => r < 70 && g < 70 && b < 80 },
};

/** Waits until the page shows the picture; on time-out says the colour it saw. */
export async function untilPicture(page, name, timeout = 15_000) {
  const { x, y, looks } = PICTURES[name];
  const until = Date.now() + timeout;
  let seen;
  while (Date.now() < until) {
    seen = await page.evaluate(colour, { x, y });
    if (seen && looks(seen)) return;
    await page.waitForTimeout(100);
  }
  throw new Error(`not the ${name} picture: saw ${JSON.stringify(seen)}`);
}

function colour({ x, y }) {
  const { video } = window.ringside;
  if (!video.videoWidth) return null;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const [r, g, b] = context.getImageData(Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data;
  return { r, g, b };
}
