/** Updates the toolbar, the status bar and the progress bar. Called by app.js for every
 * frame; `isInsideImage` is used by canvas_events.js. */

import { elementById } from "./dom.js";
import { settings } from "./settings.js";
import { state } from "./state.js";

/** Shows the active tool and settings, the possible actions, and what is saved. */
export function updateControls() {
  const { session, activeTool, serverInfo, viewport } = state;
  const object = session?.currentObject;
  const hasPendingClicks = object?.pendingClicks.length > 0;
  // 1. Toggle buttons.
  pressButtons("tool", activeTool);
  pressButtons("view", settings.maskView);
  pressButtons("sign", state.clicksArePositive ? "positive" : "negative");
  const tokenButton = actionButton("toggleTokens");
  tokenButton.setAttribute("aria-pressed", String(settings.showTokens));
  // 2. Enabled buttons. Undo without a current object selects the last one.
  const canUndo = object
    ? object.canUndo || hasPendingClicks : session?.objects.length > 0;
  setEnabled("undo", session && canUndo);
  setEnabled("redo", object?.canRedo && !hasPendingClicks);
  setEnabled("resetObject", object && (object.clicks.length || !object.mask.isEmpty));
  setEnabled("finishObject", object && (hasPendingClicks || !object.mask.isEmpty));
  setEnabled("toggleTokens", serverInfo.has_token_selection);
  setEnabled("loadMasks", session);
  elementById("export-button").disabled = !session?.objects.length;
  // 3. Elements on the canvas, and its cursor.
  const hasImage = session !== null || state.openingImageName !== null;
  elementById("empty-state").hidden = hasImage;
  elementById("zoom-controls").hidden = session === null;
  const showsTokenBoxes = settings.showTokens && state.overlays.tokenBoxes;
  elementById("token-legend").hidden = !showsTokenBoxes;
  const isOverClick = state.hoveredClick && activeTool === "click";
  elementById("canvas").dataset.tool = isOverClick ? "hovered-click" : activeTool;
  elementById("zoom-percent").textContent = `${Math.round(viewport.scale * 100)} %`;
  updateStatusBar();
  updateProgress(serverInfo);
}

function updateStatusBar() {
  const { session, pointerPosition, clickLatency } = state;
  const image = session?.image;
  elementById("image-name").textContent = session
    ? `${session.imageName}  ${image.width} × ${image.height}` : "";
  const isOverImage =
    pointerPosition && session && isInsideImage(pointerPosition, image);
  elementById("pointer-position").textContent = isOverImage
    ? `${Math.floor(pointerPosition.x)}, ${Math.floor(pointerPosition.y)}` : "";
  const latency = elementById("latency");
  latency.textContent = clickLatency
    ? `Mask in ${Math.round(clickLatency.totalMs)} ms` : "";
  latency.title = clickLatency
    ? `${Math.round(clickLatency.modelMs)} ms of it on the server` : "";
  const saveStatus = elementById("save-status");
  saveStatus.textContent = formatSaveStatus(session?.requestQueue);
  saveStatus.classList.toggle("offline", session?.requestQueue.isOffline ?? false);
}

function formatSaveStatus(requestQueue) {
  if (!requestQueue) return "";
  const { isOffline, numPending } = requestQueue;
  if (isOffline) return `Server offline: ${numPending} not saved yet, retrying`;
  return numPending ? `Saving ${numPending} …` : "Saved";
}

/** Shows what the user waits for: an image, or the compilation of the model. */
function updateProgress({
  ready, compiled_programs: compiled = [], num_pending_programs: numPending = 0,
}) {
  // 1. The bar; a first sliver of it is visible from the start.
  const numPrograms = compiled.length + numPending;
  const fraction = numPrograms ? compiled.length / numPrograms : 0;
  const progressBar = elementById("compile-progress");
  progressBar.hidden = ready;
  progressBar.firstElementChild.style.width = `${Math.max(3, 100 * fraction)}%`;
  // 2. The message.
  const { openingImageName } = state;
  const messages = [
    openingImageName && `Opening ${openingImageName} …`,
    !ready && `Compiling the model: ${compiled.length} of ${numPrograms} programs`,
  ];
  const progressMessage = elementById("progress-message");
  progressMessage.textContent = messages.filter(Boolean).join("\n");
  progressMessage.hidden = ready && !openingImageName;
}

/**
 * @param {{x: number, y: number}} point image pixels
 * @param {{width: number, height: number}} imageSize
 * @returns {boolean} whether the point lies on the image
 */
export function isInsideImage({ x, y }, { width, height }) {
  return x >= 0 && y >= 0 && x < width && y < height;
}

/** Presses the button with `data-GROUP=value` and releases the others of the group. */
function pressButtons(group, value) {
  for (const button of document.querySelectorAll(`button[data-${group}]`)) {
    button.setAttribute("aria-pressed", String(button.dataset[group] === value));
  }
}

function actionButton(actionName) {
  return document.querySelector(`[data-action="${actionName}"]`);
}

function setEnabled(actionName, isEnabled) {
  actionButton(actionName).disabled = !isEnabled;
}
