/** Runs tasks one after the other, in the order of the user's actions, and repeats a
 * task while the server is unavailable. Used by server_sync.js. */

import { ServerUnavailable, createRequestKey } from "./api_client.js";

const RETRY_INTERVAL_MS = 1000;

export class RequestQueue {
  /** @type {?string} why the server is unavailable; null while it is available */
  unavailableReason = null;
  /** Number of tasks that have not finished. */
  numPending = 0;
  /** Number of tasks that were ever added. */
  numAdded = 0;
  #lastTask = Promise.resolve();

  /** @param {() => void} onChange called when the first two fields change */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /**
   * Runs a task after all earlier ones, whether they succeeded or not.
   *
   * While the server is unavailable, the task is repeated once a second.
   * @template T
   * @param {(requestKey: string) => Promise<T>} task sends one request with the key,
   *   the same one when it is repeated: the server applies a key once
   * @returns {Promise<T>}
   */
  add(task) {
    this.numPending += 1;
    this.numAdded += 1;
    this.onChange();
    const result = this.#lastTask.then(() => this.#runUntilAnswered(task));
    // The chain itself never rejects, so that later tasks run after a failure.
    this.#lastTask = result.catch(() => {}).finally(() => {
      this.numPending -= 1;
      this.onChange();
    });
    return result;
  }

  /**
   * Resolves when all tasks added so far have finished.
   * @returns {Promise<void>}
   */
  whenIdle() {
    return this.#lastTask;
  }

  async #runUntilAnswered(task) {
    const requestKey = createRequestKey();
    for (;;) {
      try {
        const result = await task(requestKey);
        this.#setUnavailable(null);
        return result;
      } catch (error) {
        const isUnavailable = error instanceof ServerUnavailable;
        this.#setUnavailable(isUnavailable ? error.message : null);
        if (!isUnavailable) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_INTERVAL_MS));
      }
    }
  }

  #setUnavailable(reason) {
    if (this.unavailableReason === reason) return;
    this.unavailableReason = reason;
    this.onChange();
  }
}
