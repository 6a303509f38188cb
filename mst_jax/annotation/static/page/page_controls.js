/** Updates the toolbar, the status bar and the progress bar. Called by app.js for every
 * frame that changes them; `isInsideImage` is used by canvas_events.js. */

import { elementById } from "./dom.js";
import { describeSaveStatus } from "./save_status.js";
import { settings } from "./settings.js";
import { state } from "./state.js";

/** Sliders by the name of their setting. */
const SLIDERS = {
  maskOpacity: "mask-opacity", brushSize: "brush-size",
  brightness: "brightness", contrast: "contrast",
};

/** Shows the active tool and settings, the possible actions, and what is saved. */
export function updateControls() {
  const { session, activeTool, serverInfo, viewport } = state;
  const object = session?.currentObject;
  // 1. Toggle buttons and sliders.
  pressButtons("tool", activeTool);
  pressButtons("view", settings.maskView);
  pressButtons("sign", state.clicksArePositive ? "positive" : "negative");
  const tokenButton = actionButton("toggleTokens");
  tokenButton.setAttribute("aria-pressed", String(settings.showTokens));
  const isDisplayChanged = settings.brightness !== 0 || settings.contrast !== 0;
  elementById("display-button").classList.toggle("changed", isDisplayChanged);
  for (const [settingName, elementId] of Object.entries(SLIDERS)) {
    elementById(elementId).value = settings[settingName];
  }
  // 2. Enabled buttons.
  setEnabled("undo", session?.nextUndo);
  setEnabled("redo", session?.nextRedo);
  setEnabled("resetObject", object && !object.isEmpty);
  setEnabled("finishObject", object && !object.isEmpty);
  setEnabled("toggleTokens", serverInfo.has_token_selection);
  setEnabled("loadMasks", session);
  elementById("folder-menu").hidden = !serverInfo.has_image_folder;
  // 3. Elements on the canvas.
  const hasImage = session || state.openingImageName || state.openError;
  elementById("empty-state").hidden = Boolean(hasImage);
  const openError = elementById("open-error");
  openError.hidden = !state.openError;
  openError.firstElementChild.textContent = state.openError ?? "";
  elementById("zoom-controls").hidden = session === null;
  const showsTokenBoxes = settings.showTokens && state.overlays.tokenBoxes;
  elementById("token-legend").hidden = !showsTokenBoxes;
  elementById("zoom-percent").textContent = `${Math.round(viewport.scale * 100)} %`;
  updateStatusBar();
  updateProgress(serverInfo);
}

/** Shows the position of the pointer, and the cursor of what a click would do there. */
export function updatePointer() {
  const { session, pointerPosition, keyboardCursor } = state;
  const position = keyboardCursor ?? pointerPosition;
  const isOverImage = position && session && isInsideImage(position, session.image);
  elementById("pointer-position").textContent = isOverImage
    ? `${Math.floor(position.x)}, ${Math.floor(position.y)}` : "";
  const isOverClick = state.hoveredClick && state.activeTool === "click";
  elementById("canvas").dataset.tool = isOverClick ? "hovered-click" : state.activeTool;
}

/**
 * Connects the sliders with the settings of the same meaning.
 * @param {(changes: object) => void} changeSettings
 * @param {() => void} onRelease called when the pointer has released a slider
 */
export function connectSliders(changeSettings, onRelease) {
  for (const [settingName, elementId] of Object.entries(SLIDERS)) {
    const slider = elementById(elementId);
    slider.addEventListener("input", ({ target }) =>
      changeSettings({ [settingName]: Number(target.value) }));
    slider.addEventListener("pointerup", onRelease);
  }
}

function updateStatusBar() {
  const { session, clickLatency, serverInfo } = state;
  const image = session?.image;
  elementById("image-name").textContent = session
    ? `${session.imageName}  ${image.width} × ${image.height}` : "";
  const latency = elementById("latency");
  latency.textContent = clickLatency
    ? `Mask in ${Math.round(clickLatency.totalMs)} ms` : "";
  const place = serverInfo.backend ? `with ${serverInfo.backend}` : "on the server";
  latency.title = clickLatency
    ? `${Math.round(clickLatency.modelMs)} ms of it ${place}` : "";
  const saveStatus = elementById("save-status");
  const { text, isProblem } = describeSaveStatus(session, state.numUnsavedElsewhere);
  // An unchanged text is not written again: screen readers would repeat it.
  if (saveStatus.textContent !== text) saveStatus.textContent = text;
  saveStatus.classList.toggle("offline", isProblem);
}

/** Shows what the user waits for: an image, or the model. */
function updateProgress(serverInfo) {
  const { ready } = serverInfo;
  const { fraction, message } = describeModelProgress(serverInfo);
  // 1. The bar; a first sliver of it is visible from the start.
  const progressBar = elementById("model-progress");
  progressBar.hidden = ready;
  progressBar.setAttribute("aria-valuenow", String(Math.round(100 * fraction)));
  progressBar.firstElementChild.style.width = `${Math.max(3, 100 * fraction)}%`;
  // 2. The message.
  const { openingImageName } = state;
  const messages = [openingImageName && `Opening ${openingImageName} …`, !ready && message];
  const progressMessage = elementById("progress-message");
  progressMessage.textContent = messages.filter(Boolean).join("\n");
  progressMessage.hidden = ready && !openingImageName;
}

/** The server compiles the model; a page without a server downloads and starts it. */
function describeModelProgress({
  compiled_programs: compiled = [], num_pending_programs: numPending = 0,
  num_loaded_bytes: numLoaded = 0, num_model_bytes: numBytes = 0,
}) {
  if (numBytes) {
    const [loadedMegabytes, megabytes] =
      [numLoaded, numBytes].map((count) => (Math.min(count, numBytes) / 1e6).toFixed(1));
    const message = numLoaded < numBytes
      ? `Loading the model: ${loadedMegabytes} of ${megabytes} MB`
      : "Starting the model …";
    return { fraction: Math.min(1, numLoaded / numBytes), message };
  }
  const numPrograms = compiled.length + numPending;
  const message = `Compiling the model: ${compiled.length} of ${numPrograms} programs`;
  return { fraction: numPrograms ? compiled.length / numPrograms : 0, message };
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
