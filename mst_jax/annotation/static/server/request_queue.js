/** Sends requests one after the other, in the order of the user's actions, and retries
 * them while the server is unreachable. Used by session.js. */

import { ServerUnreachable, sendRequest } from "./api_client.js";

const RETRY_INTERVAL_MS = 1000;

export class RequestQueue {
  /** Whether the server is unreachable. */
  isOffline = false;
  /** Number of tasks that have not finished. */
  numPending = 0;
  #lastTask = Promise.resolve();

  /** @param {() => void} onChange called when `numPending` or `isOffline` changes */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /**
   * Runs a task after all earlier ones, whether they succeeded or not.
   *
   * If the server is unreachable, waits until it is back and runs the task again.
   * @template T
   * @param {(isRetry: boolean) => Promise<T>} task on a retry its first request may
   *   have arrived although its response was lost
   * @returns {Promise<T>}
   */
  add(task) {
    this.numPending += 1;
    this.onChange();
    const result = this.#lastTask.then(() => this.#runWithRetry(task));
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

  async #runWithRetry(task) {
    for (let isRetry = false; ; isRetry = true) {
      try {
        return await task(isRetry);
      } catch (error) {
        if (!(error instanceof ServerUnreachable)) throw error;
        await this.#waitForServer();
      }
    }
  }

  async #waitForServer() {
    this.isOffline = true;
    this.onChange();
    while (!(await sendRequest("GET", "/about").catch(() => null))) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_INTERVAL_MS));
    }
    this.isOffline = false;
    this.onChange();
  }
}
