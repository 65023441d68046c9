// What the pages of all players share: `window.ringside`, with the names that the watch page has too.

/** Returns the page's `<video>` and the playlist to play in it, which the address names. */
export function begin(name, version) {
  const video = document.querySelector('video');
  const ringside = { name, version, video, firstPictureMs: null, notes: [], fatal: [] };
  window.ringside = ringside;
  ringside.note = (what, fatal) => {
    ringside.notes.push(what);
    if (fatal) ringside.fatal.push(what);
  };
  // The page begins when it is asked for, the player's own code included.
  video.requestVideoFrameCallback(() => { ringside.firstPictureMs = Math.round(performance.now()); });
  video.autoplay = true;
  return { video, source: new URLSearchParams(location.search).get('playlist') };
}
