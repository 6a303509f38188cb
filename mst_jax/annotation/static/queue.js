/** Requests go one after the other, in the order of the annotator's actions. */

import { Silence, ask } from "./api.js";

const PAUSE = 1000; // ms between two looks whether the server is back

export class Queue {
  /** Nobody answers at present. */
  silent = false;
  /** Tasks that are not done yet. */
  waiting = 0;
  #last = Promise.resolve();

  /** @param {() => void} onchange is called when `waiting` or `silent` changed */
  constructor(onchange) {
    this.onchange = onchange;
  }

  /**
   * Runs a task after those before it, whatever became of them.
   *
   * If nobody answers, it waits until the server is back and runs the task again.
   * @param {(again: boolean) => Promise} task `again`: it may have arrived before
   */
  add(task) {
    this.waiting += 1;
    this.onchange();
    const done = this.#last.then(() => this.#insist(task));
    this.#last = done.catch(() => {}).finally(() => {
      this.waiting -= 1;
      this.onchange();
    });
    return done;
  }

  /** Resolves when all that was added so far is done. */
  idle() {
    return this.#last;
  }

  async #insist(task) {
    for (let again = false; ; again = true) {
      try {
        return await task(again);
      } catch (error) {
        if (!(error instanceof Silence)) throw error;
        await this.#untilBack();
      }
    }
  }

  async #untilBack() {
    this.silent = true;
    this.onchange();
    while (!(await ask("GET", "/about").catch(() => null))) {
      await new Promise((wake) => setTimeout(wake, PAUSE));
    }
    this.silent = false;
    this.onchange();
  }
}
