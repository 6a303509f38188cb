/** Isolates the page from other origins, which browsers demand for threads, on hosts
 * that cannot send the headers themselves. Used by start.js. */

const RELOADED_KEY = "mst_jax.isolation";

/**
 * Reloads the page once through its service worker, which adds the headers. Without
 * service workers the page runs on one thread.
 * @returns {Promise<void>}
 */
export async function ensureIsolation() {
  if (globalThis.crossOriginIsolated || !navigator.serviceWorker) {
    setReloaded(false);
    return;
  }
  // Where the reload did not help, another one would not either.
  if (wasReloaded()) return;
  try {
    await navigator.serviceWorker.register(
      new URL("../service_worker.js", import.meta.url));
    await navigator.serviceWorker.ready;
  } catch {
    return;
  }
  if (!setReloaded(true)) return;
  location.reload();
  await new Promise(() => {}); // nothing starts before the reload
}

function wasReloaded() {
  try {
    return sessionStorage.getItem(RELOADED_KEY) !== null;
  } catch {
    return true;
  }
}

/** Returns whether the browser remembers it; otherwise the page could reload forever. */
function setReloaded(isReloaded) {
  try {
    if (isReloaded) sessionStorage.setItem(RELOADED_KEY, "true");
    else sessionStorage.removeItem(RELOADED_KEY);
    return true;
  } catch {
    return false;
  }
}
