/** Polls the server: changes of other users, the status of images, the labels, and the
 * progress of compiling. Used by app.js. */

import { loadLabels } from "../panels/label_list.js";
import { RequestRejected, requestJson } from "../server/api_client.js";
import { requestRender, state } from "./state.js";
import { showToast } from "./toast.js";

const CHANGES_INTERVAL_MS = 1000; // between two requests for changes of other users
const OVERVIEW_INTERVAL_MS = 5000; // between two requests for images and labels
const AFTER_SAVING_MS = 250; // until the server has written the files of the masks
const READY_POLL_MS = 700; // between two requests for the progress of compiling

/** Asks for the progress of compiling until the model is ready. */
export async function pollUntilReady() {
  while (!state.serverInfo.ready) {
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    // While the server is unreachable, the last progress stays visible.
    state.serverInfo = await requestJson("GET", "/about").catch(() => state.serverInfo);
    requestRender();
  }
}

/**
 * Starts to poll; hidden tabs do not.
 * @param {object} handlers
 * @param {() => Promise<void>} handlers.refreshImages loads status and counts
 * @param {() => void} handlers.onSessionClosed the server has no such session
 * @returns {() => void} function to call whenever requests have been added or answered
 */
export function startServerUpdates({ refreshImages, onSessionClosed }) {
  const updateOverview = () =>
    Promise.all([refreshImages(), loadLabels()]).catch(() => {});
  const isVisible = () => document.visibilityState === "visible";
  repeatForever(CHANGES_INTERVAL_MS,
    () => isVisible() && fetchChanges(onSessionClosed));
  repeatForever(OVERVIEW_INTERVAL_MS, () => isVisible() && updateOverview());
  let wasIdle = true;
  return () => {
    const isIdle = state.session?.isIdle ?? true;
    // Everything was saved: the status of the image may have changed.
    if (isIdle && !wasIdle) {
      setTimeout(() => {
        fetchChanges(onSessionClosed);
        updateOverview();
      }, AFTER_SAVING_MS);
    }
    wasIdle = isIdle;
  };
}

/**
 * Takes over what other users have changed in the open image.
 * @param {() => void} onSessionClosed
 */
async function fetchChanges(onSessionClosed) {
  const { session } = state;
  if (!session) return;
  try {
    const isCurrentDeleted = await session.fetchChanges();
    if (isCurrentDeleted) showToast("Another user has deleted this object.");
  } catch (error) {
    // Without a response, the next request reports what is wrong.
    const isClosed = error instanceof RequestRejected && error.status === 404;
    if (isClosed && session === state.session) onSessionClosed();
  }
}

/** Waits between the end of a task and its next start, so that none overlaps. */
async function repeatForever(interval, task) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, interval));
    await task();
  }
}
