/** Keeps sessions, objects, arrays and labels in the browser's IndexedDB. A change is
 * stored as a whole or not at all. Used by session_store.js and label_store.js. */

import { LocalError } from "../files/local_error.js";

const DATABASE_NAME = "mst_jax";
const DATABASE_VERSION = 1;
/** Stores and the paths of their keys; null: the key is given beside the value. */
const STORES = {
  sessions: "sessionId",
  images: "sessionId",
  objects: ["sessionId", "objectId"],
  arrays: null, // keys [session ID, array ID]
  labels: "key",
};

export class Database {
  /** @param {IDBDatabase} connection */
  constructor(connection) {
    this.connection = connection;
  }

  /** @returns {Promise<Database>} */
  static async open() {
    try {
      const request = indexedDB.open(DATABASE_NAME, DATABASE_VERSION);
      request.onupgradeneeded = () => {
        for (const [name, keyPath] of Object.entries(STORES)) {
          request.result.createObjectStore(name, { keyPath });
        }
      };
      const connection = await toPromise(request);
      // A later version of the page in another tab may change the stores.
      connection.onversionchange = () => connection.close();
      return new Database(connection);
    } catch (error) {
      throw new LocalError(
        `This window cannot store anything (${error.message}); open the page in a ` +
        "normal window.", 503);
    }
  }

  /** @returns {Promise<any>} undefined without such a key */
  get(storeName, key) {
    const store = this.connection.transaction(storeName).objectStore(storeName);
    return toPromise(store.get(key));
  }

  /**
   * @param {string} storeName
   * @param {string} [sessionId] values of this session only
   * @returns {Promise<any[]>} in the order of their keys
   */
  getAll(storeName, sessionId) {
    const store = this.connection.transaction(storeName).objectStore(storeName);
    const range = sessionId === undefined
      ? undefined : IDBKeyRange.bound([sessionId], [sessionId, []]);
    return toPromise(store.getAll(range));
  }

  /**
   * Stores and deletes values in one transaction.
   * @param {Object<string, any[]>} puts values by store; for arrays pairs [key, value]
   * @param {Object<string, any[]>} [deletions] keys by store
   * @throws {LocalError} nothing was stored
   */
  async write(puts, deletions = {}) {
    const storeNames = [...new Set([...Object.keys(puts), ...Object.keys(deletions)])];
    const transaction = this.connection.transaction(storeNames, "readwrite");
    const isDone = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    try {
      for (const [name, values] of Object.entries(puts)) {
        const store = transaction.objectStore(name);
        for (const value of values) {
          if (STORES[name] === null) store.put(value[1], value[0]);
          else store.put(value);
        }
      }
      for (const [name, keys] of Object.entries(deletions)) {
        const store = transaction.objectStore(name);
        for (const key of keys) store.delete(key);
      }
      await isDone;
    } catch (error) {
      const isFull = error?.name === "QuotaExceededError";
      throw new LocalError(isFull
        ? "The browser has no more space for this page"
        : `The browser cannot store this (${error?.message ?? "unknown reason"})`, 507);
    }
  }
}

/** @returns {Promise<any>} result of a request to IndexedDB */
function toPromise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
