/** Lets actions on the same data run one after the other, also those of other tabs. Used
 * by label_store.js and routes.js. */

/**
 * @template T
 * @param {string} name what the action changes
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export function withLock(name, action) {
  // Pages without TLS have no locks; there, only one tab should be open.
  return navigator.locks ? navigator.locks.request(`mst_jax ${name}`, action) : action();
}
