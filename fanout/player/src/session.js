// Runs the state machine: events in, effects out, one timer. Holds no opinion of its own.

import { initial, step } from './state.js';

const REPAIRS = new Set(['load', 'resume', 'recover-media', 'rebuild']);

export class Session {
  #perform;
  #show;
  #clock;
  #timer = null;
  state = initial;

  /** `perform(effect name)` acts, `show(state)` draws; `clock` may be replaced by tests. */
  constructor({ perform, show, clock = { now: () => performance.now(), random: Math.random } }) {
    this.#perform = perform;
    this.#show = show;
    this.#clock = clock;
  }

  emit(event) {
    const { state, effect } = step(this.state, event, { now: this.#clock.now(), random: this.#clock.random() });
    const changed = state.name !== this.state.name || state.code !== this.state.code;
    this.state = state;
    if (changed) this.#show(state);
    if (effect) this.#schedule(effect);
  }

  #schedule({ do: name, afterMs }) {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (afterMs > 0) this.#timer = setTimeout(() => this.#act(name), afterMs);
    else this.#act(name);
  }

  #act(name) {
    if (REPAIRS.has(name)) this.emit({ type: 'repaired' });
    this.#perform(name);
  }
}
