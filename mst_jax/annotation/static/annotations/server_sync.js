/** Sends the actions of a session in order, and takes over what other users have
 * changed. Used by session.js. */

import { RequestQueue } from "../server/request_queue.js";

export class ServerSync {
  /** Whether the files of the masks hold all finished objects. */
  isExported = true;
  /** @type {?string} why the server could not write the files of the masks */
  saveError = null;
  /** Number of changes on the server that the page has seen. */
  #revision = 0;

  /**
   * @param {SessionClient} client
   * @param {ObjectCollection} collection is kept equal to the objects of the server
   * @param {{onChange: () => void, onError: (error: Error) => void}} callbacks
   */
  constructor(client, collection, callbacks) {
    Object.assign(this, { client, collection, callbacks });
    this.requestQueue = new RequestQueue(() => callbacks.onChange());
  }

  /** Whether no request waits for its response. */
  get isIdle() {
    return this.requestQueue.numPending === 0;
  }

  /**
   * Queues a task; after a failure, takes over the state of the server.
   * @template T
   * @param {(requestKey: string) => Promise<T>} task see `RequestQueue`
   * @param {() => void} [onSettled] called after success and failure
   * @param {() => void} [onFailed]
   * @returns {Promise<T|undefined>} undefined if the task failed
   */
  async enqueue(task, onSettled = () => {}, onFailed = () => {}) {
    this.isExported = false;
    try {
      return await this.requestQueue.add(task);
    } catch (error) {
      onFailed();
      this.#revision = 0; // what the page shows may be wrong
      this.requestQueue.whenIdle().then(() => this.fetchChanges()).catch(() => {});
      this.callbacks.onError(error);
    } finally {
      onSettled();
      this.callbacks.onChange();
    }
  }

  /**
   * Takes over what has changed on the server, unless the user acts at the same time.
   * @returns {Promise<boolean>} whether it was taken over
   */
  async fetchChanges() {
    const { numAdded } = this.requestQueue;
    if (!this.isIdle) return false;
    const changes = await this.client.fetchChanges(this.#revision);
    // An action in the meantime has a newer result.
    if (this.requestQueue.numAdded !== numAdded) return false;
    this.mergeState(changes);
    this.callbacks.onChange();
    return true;
  }

  /** @param {object} serverState the session, or its changes, as the server has them */
  mergeState(serverState) {
    this.#revision = serverState.revision;
    this.isExported = serverState.is_exported;
    this.saveError = serverState.save_error;
    this.collection.mergeState(serverState);
  }
}
