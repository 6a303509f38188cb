/** Entry point of the page, loaded by index.html: connects modules, opens images. */

import {
  changeSettings, createActions, deleteObject, exportMasks, setClickSign, setTool,
} from "./page/actions.js";
import { RequestRejected, requestJson } from "./server/api_client.js";
import { brushCursor, connectCanvas } from "./page/canvas_events.js";
import { elementById, labelButtons } from "./page/dom.js";
import { listenForFiles } from "./page/file_input.js";
import { ImageList, getOrCreateSession } from "./panels/image_list.js";
import { renderObjectList } from "./panels/object_list.js";
import { updateOverlays } from "./page/overlay_loader.js";
import { updateControls } from "./page/page_controls.js";
import { renderScene } from "./drawing/render.js";
import { AnnotationSession } from "./annotations/session.js";
import { loadValue, settings, storeValue } from "./page/settings.js";
import { fillShortcutList, listenForShortcuts } from "./page/shortcuts.js";
import { requestRender, setRenderCallback, state } from "./page/state.js";
import { showToast } from "./page/toast.js";

const READY_POLL_MS = 700; // interval of asking whether the model is compiled
const canvas = elementById("canvas");
const context = canvas.getContext("2d");
const imageList = new ImageList((entry) => openImage(entry));
const sessionCallbacks = { onChange: requestRender, onError: showError };

setRenderCallback(() => {
  updateOverlays();
  renderScene(context, { ...state, settings, brushCursor: brushCursor() });
  const handlers = { onDelete: deleteObject, onHoverClick: setHoveredClick };
  renderObjectList(state.session, handlers);
  updateControls();
});
labelButtons();
fillShortcutList(elementById("shortcut-list"));
connectCanvas(canvas);
connectControls();
openFirstImage().catch(showError);

/** Opens the session of the URL, else the last session, else the first image. */
async function openFirstImage() {
  state.serverInfo = await requestJson("GET", "/about");
  if (!state.serverInfo.ready) pollUntilReady();
  await imageList.load(state.serverInfo.has_image_folder);
  const urlParameters = new URLSearchParams(location.hash.slice(1));
  const sessionId = urlParameters.get("session") ?? loadValue("session", null);
  const lastEntry = sessionId && imageList.entryOfSession(sessionId);
  await openImage(lastEntry || imageList.entries[0]);
}

/** Updates the progress bar until the model is compiled. */
async function pollUntilReady() {
  while (!state.serverInfo.ready) {
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    // While the server is unreachable, the last progress stays visible.
    state.serverInfo = await requestJson("GET", "/about").catch(() => state.serverInfo);
    requestRender();
  }
}

/**
 * Opens an image of the list with its earlier annotations.
 * @param {?ImageEntry} entry
 */
async function openImage(entry) {
  if (!entry || entry === imageList.currentEntry) return;
  state.openingImageName = entry.name || "the image";
  imageList.currentEntry = entry;
  requestRender();
  // 1. Save the annotations of the previous image.
  await state.session?.requestQueue.whenIdle();
  try {
    // 2. Open the image, unless the user has selected another one in the meantime.
    const session = await openSession(entry);
    if (imageList.currentEntry !== entry) return;
    showSession(session, entry);
  } catch (error) {
    showError(error);
    if (imageList.currentEntry === entry) imageList.currentEntry = null;
  } finally {
    state.openingImageName = null;
    imageList.render();
    requestRender();
  }
}

/** Opens the session of an image; a session that the server has closed is replaced. */
async function openSession(entry) {
  const storedSessionId = entry.sessionId;
  try {
    const sessionId = await getOrCreateSession(entry);
    return await AnnotationSession.open(sessionId, sessionCallbacks);
  } catch (error) {
    const isClosed = error instanceof RequestRejected && error.status === 404;
    if (!isClosed || !storedSessionId) throw error;
    imageList.forgetSession(storedSessionId);
    // An upload of an earlier page load is gone with its session.
    if (!entry.isInFolder && !entry.file) {
      throw new RequestRejected("This session has ended. Open the image again.", 404);
    }
    return AnnotationSession.open(await getOrCreateSession(entry), sessionCallbacks);
  }
}

function showSession(session, entry) {
  // 1. Replace all state of the previous image.
  Object.assign(state, {
    session, activeStroke: null, hoveredClick: null, clickLatency: null, overlays: {},
  });
  state.viewport.setImageSize(session.image);
  // 2. Remember the session, so that a reload opens it again.
  entry.name = session.imageName;
  imageList.store();
  storeValue("session", session.sessionId);
  history.replaceState(null, "", `${location.pathname}#session=${session.sessionId}`);
  document.title = session.imageName;
}

function showError(error) {
  showToast(error.message);
  // Everything but a rejected request is unexpected.
  if (!(error instanceof RequestRejected)) console.warn(error);
}

function setHoveredClick(click) {
  state.hoveredClick = click;
  requestRender();
}

function setMasksHidden(isHidden) {
  state.masksHidden = isHidden;
  requestRender();
}

function focusCanvas() {
  canvas.focus({ preventScroll: true });
}

function connectControls() {
  const actions = createActions((step) => openImage(imageList.neighborEntry(step)));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) handleButtonClick(button, event, actions);
  });
  connectSlider("mask-opacity", "maskOpacity");
  connectSlider("brush-size", "brushSize");
  const getTool = () => state.activeTool;
  listenForShortcuts(actions, { getTool, setTool, setMasksHidden });
  listenForFiles({
    onImages: (files) => openImage(imageList.addFiles(files)),
    onLabelMap: (file) => state.session.loadLabelMap(file),
    canLoadMasks: () => state.session !== null,
  });
  // The browser asks before it discards actions that are not saved.
  addEventListener("beforeunload", (event) => {
    if (state.session?.requestQueue.numPending) event.preventDefault();
  });
}

/** Runs what the data attributes of a button name. */
function handleButtonClick(button, event, actions) {
  const { action, tool, view, sign, exportFormat } = button.dataset;
  if (action) actions[action]();
  if (tool) setTool(tool);
  if (view) changeSettings({ maskView: view });
  if (sign) setClickSign(sign === "positive");
  if (exportFormat) exportMasks(exportFormat);
  if (button.closest("[popover]")) elementById("export-menu").hidePopover();
  // After a mouse click (detail > 0) Space finishes the object; it does not press the
  // button a second time.
  const opensPopup = button.hasAttribute("popovertarget") || action === "showHelp";
  if (event.detail > 0 && !opensPopup) focusCanvas();
}

/** Connects a slider with the setting of the same meaning. */
function connectSlider(elementId, settingName) {
  const slider = elementById(elementId);
  slider.value = settings[settingName];
  slider.addEventListener("input", ({ target }) =>
    changeSettings({ [settingName]: Number(target.value) }));
  slider.addEventListener("pointerup", focusCanvas);
}
