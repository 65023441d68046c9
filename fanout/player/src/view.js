// Puts the state on the page. The only file that knows its texts.

const TEXTS = {
  loading: { headline: 'Connecting', busy: true, status: 'Connecting' },
  'not-started': {
    headline: 'The stream has not started yet',
    detail: 'Stay here: it begins by itself.',
    status: 'The stream has not started yet',
  },
  playing: { status: 'Playing' },
  reconnecting: { headline: 'Reconnecting', detail: 'The picture returns by itself.', busy: true, status: 'Reconnecting' },
  ended: {
    headline: 'The stream has ended',
    detail: 'Thank you for watching.',
    action: 'Watch again',
    status: 'The stream has ended',
  },
  failed: { headline: 'This stream cannot be played', action: 'Try again', status: 'This stream cannot be played' },
  unsupported: {
    headline: 'This browser cannot play the stream',
    detail: 'A current version of any major browser can.',
    status: 'This browser cannot play the stream',
  },
};

const SHOWS_CODE = new Set(['reconnecting', 'failed']);

export function createView(document) {
  const at = (id) => document.getElementById(id);
  const [stage, panel, headline, detail, code, retry, status] = ['stage', 'panel', 'headline', 'detail', 'code', 'retry', 'status'].map(at);
  const [badge, badgeText, signal, unmute, title] = ['badge', 'badge-text', 'signal', 'unmute', 'title'].map(at);
  const [back, over, timeline] = ['back', 'over', 'timeline'].map(at);

  return {
    badge,
    retry,
    unmute,
    back,
    over,

    name(stream) {
      title.textContent = stream;
      document.title = `${stream} \u00b7 ringside`;
    },

    state({ name, code: text }) {
      const texts = TEXTS[name];
      stage.dataset.state = name;
      stage.toggleAttribute('data-busy', Boolean(texts.busy));
      panel.hidden = !texts.headline;
      headline.textContent = texts.headline ?? '';
      detail.textContent = texts.detail ?? '';
      code.textContent = text ? `Code: ${text}` : '';
      code.hidden = !(text && SHOWS_CODE.has(name));
      retry.textContent = texts.action ?? '';
      retry.hidden = !texts.action;
      // A screen reader speaks each write, also of the same words.
      if (status.textContent !== texts.status) status.textContent = texts.status;
    },

    live({ mode, text, label }) {
      badge.dataset.mode = mode;
      badgeText.textContent = text;
      badge.setAttribute('aria-label', label);
    },

    /** Whether this player can rewind at all. */
    rewinds(can) {
      back.hidden = over.hidden = !can;
    },

    /** Whether the whole programme may be sought in. */
    seekable(is) {
      timeline.hidden = !is;
    },

    /** For a moment, and for screen readers. */
    say(text) {
      status.textContent = text;
      stage.dataset.said = text;
      setTimeout(() => delete stage.dataset.said, 3000);
    },

    signal(text) {
      signal.textContent = text;
    },

    muted(offer) {
      unmute.hidden = !offer;
    },
  };
}
