/** Entry point of the page, loaded by index.html: connects modules, opens images. */

import { renderScene } from "./drawing/render.js";
import { brushCursor, connectCanvas, endStroke } from "./input/canvas_events.js";
import { listenForFiles } from "./input/file_input.js";
import { fillShortcutList, listenForShortcuts } from "./input/shortcuts.js";
import {
  applyLabel, changeSettings, createActions, deleteObject, exportFolder, exportMasks,
  setClickSign, setImagePanelOpen, setTool,
} from "./page/actions.js";
import { elementById, labelButtons } from "./page/dom.js";
import { updateOverlays } from "./page/overlay_loader.js";
import { connectSliders, updateControls, updatePointer } from "./page/page_controls.js";
import { pollUntilReady, startServerUpdates } from "./page/server_updates.js";
import { SessionCache } from "./page/session_cache.js";
import {
  loadTabNumber, loadValue, settings, storeTabNumber, storeValue,
} from "./page/settings.js";
import { requestDraw, requestRender, setRenderCallback, state } from "./page/state.js";
import { askForThreshold, clearToasts, showToast } from "./page/toast.js";
import { ImageIndex } from "./panels/image_index.js";
import { ImageList } from "./panels/image_list.js";
import { loadLabels, openLabelDialog, renderLabelList } from "./panels/label_list.js";
import { renderObjectList, showCurrentObject } from "./panels/object_list.js";
import {
  RequestRejected, ServerUnavailable, createRequestKey, requestJson,
} from "./server/api_client.js";

const PREFETCH_DELAY_MS = 300; // the open image has priority over the next one
const canvas = elementById("canvas");
const context = canvas.getContext("2d");
const imageIndex = new ImageIndex(() => imageList.render());
const imageList = new ImageList(imageIndex, openImage);
const sessionCache = new SessionCache({ onChange: handleChange, onError: showError });
const checkForUpdates = startServerUpdates({
  refreshImages: () => imageIndex.refresh(imageList.firstVisible),
  onSessionClosed: reopenImage,
});
let shownObject = null;

setRenderCallback((havePanelsChanged) => {
  if (havePanelsChanged) renderPanels();
  renderScene(context, { ...state, settings, brushCursor: brushCursor() });
  updatePointer();
});
labelButtons();
fillShortcutList(elementById("shortcut-list"));
connectCanvas(canvas);
connectControls();
openFirstImage().catch(showError);

function renderPanels() {
  updateOverlays();
  renderObjectList(state.session, { onDelete: deleteObject, onHoverClick: hoverClick });
  renderLabelList(applyLabel);
  updateControls();
  const currentObject = state.session?.currentObject ?? null;
  if (currentObject !== shownObject) showCurrentObject();
  shownObject = currentObject;
}

/** Called when objects or their requests have changed. */
function handleChange() {
  const otherSessions =
    sessionCache.unsavedSessions.filter((session) => session !== state.session);
  state.numUnsavedElsewhere = otherSessions.reduce(
    (sum, { requestQueue }) => sum + requestQueue.numPending, 0);
  // In this tab only: other users begin objects of their own.
  if (state.session) {
    const currentId = state.session.currentObject?.objectId ?? null;
    storeTabNumber(state.session.sessionId, currentId);
  }
  checkForUpdates();
  requestRender();
}

/** Opens the session of the URL, else the last session, else the first image. */
async function openFirstImage() {
  state.serverInfo = await requestJson("GET", "/about");
  if (!state.serverInfo.ready) pollUntilReady();
  loadLabels().catch(showError);
  await imageIndex.load(state.serverInfo.has_image_folder);
  const urlParameters = new URLSearchParams(location.hash.slice(1));
  const sessionId = urlParameters.get("session") ?? loadValue("session", null);
  const lastEntry = sessionId && (await findEntry(sessionId));
  const firstEntry = imageIndex.length ? await imageIndex.neighborEntry(1) : null;
  await openImage(lastEntry || firstEntry);
}

/** Returns the entry of a session; null if the server has closed it. */
async function findEntry(sessionId) {
  try {
    const session = await requestJson("GET", `/sessions/${sessionId}`);
    return await imageIndex.entryOfSession(sessionId, session.folder_image);
  } catch (error) {
    const upload = imageIndex.uploads.find((entry) => entry.sessionId === sessionId);
    if (upload) imageIndex.removeUpload(upload);
    const isClosed = error.status === 404;
    if (isClosed) showToast("This session has ended. Open the image again.");
    else showError(error);
    return null;
  }
}

/**
 * Opens an image of the list with its earlier annotations.
 * @param {?ImageEntry} entry
 */
async function openImage(entry) {
  setImagePanelOpen(false);
  const previousEntry = imageIndex.currentEntry;
  if (!entry || (entry === previousEntry && !state.openError)) return;
  // 1. The previous image stays visible until this one is open.
  imageIndex.currentEntry = entry;
  state.openingImageName = entry.name || "the image";
  imageList.showCurrent();
  requestRender();
  try {
    // 2. Open the image, unless the user has selected another one in the meantime.
    const session = await sessionCache.open(entry);
    if (imageIndex.currentEntry === entry) showSession(session, entry);
  } catch (error) {
    if (imageIndex.currentEntry === entry) showOpenError(error, entry, previousEntry);
  } finally {
    if ([entry, previousEntry].includes(imageIndex.currentEntry)) {
      state.openingImageName = null;
    }
    imageList.render();
    requestRender();
  }
}

/** Leaves the open image; its requests go on. */
function leaveImage() {
  if (!state.session) return;
  clearToasts();
  endStroke();
  state.session.selectObject(null);
}

function showSession(session, entry) {
  leaveImage();
  // 1. Replace all state of the previous image.
  Object.assign(state, {
    session, activeStroke: null, hoveredClick: null, clickLatency: null, overlays: {},
    keyboardCursor: null, openError: null,
  });
  session.nextName = state.activeLabel;
  session.resumeObject(loadTabNumber(session.sessionId));
  state.viewport.setImageSize(session.image);
  canvas.setAttribute("aria-label", `Image ${session.imageName} with masks`);
  // 2. Remember the session, so that a reload opens it again.
  entry.name ||= session.imageName;
  imageIndex.store();
  storeValue("session", session.sessionId);
  history.replaceState(null, "", `${location.pathname}#session=${session.sessionId}`);
  document.title = session.imageName;
  // 3. Say how an unusual file was read, once until the page is loaded again.
  const remarks = entry.hasShownRemarks ? [] : session.remarks;
  if (remarks.length) showToast(`${entry.name}: ${remarks.join("; ")}.`);
  entry.hasShownRemarks = true;
  // 4. The session may have been opened ahead of time: see what has changed since.
  session.fetchChanges().catch(() => {});
  setTimeout(() => prefetchNextImage(entry), PREFETCH_DELAY_MS);
}

function showOpenError(error, entry, previousEntry) {
  // 1. A file of the user: the previous image stays open.
  if (!entry.isInFolder) {
    if (error instanceof RequestRejected) imageIndex.removeUpload(entry);
    imageIndex.currentEntry = previousEntry;
    return showError(error);
  }
  // 2. An image of the folder stays selected: the next one is one key away.
  leaveImage();
  state.session = null;
  state.openError = `${entry.name} cannot be shown: ${error.message}`;
  // The server may have marked the image as failed.
  imageIndex.refresh(imageList.firstVisible).catch(() => {});
  if (!isExpected(error)) console.warn(error);
}

async function prefetchNextImage(entry) {
  if (imageIndex.currentEntry !== entry) return;
  const nextEntry = await imageIndex.neighborEntry(1).catch(() => null);
  // A failure is reported when the image is opened.
  if (nextEntry?.isInFolder) sessionCache.open(nextEntry).catch(() => {});
}

async function openNeighborImage(step) {
  const entry = await imageIndex.neighborEntry(step).catch(showError);
  if (entry) return openImage(entry);
  const place = step > 0 ? "last" : "first";
  if (entry === null) showToast(`This is the ${place} image.`);
}

/** Opens the current image again after the server has closed its session. */
function reopenImage() {
  const entry = imageIndex.currentEntry;
  sessionCache.forget(entry);
  imageIndex.currentEntry = null;
  state.session = null;
  openImage(entry);
}

/**
 * Adds a file with masks of many images to the folder.
 * @param {File} file COCO or zip
 * @param {string} [query] parameters of the request
 * @param {string} [requestKey] of a request that is repeated: no mask is added twice
 */
async function importIntoFolder(file, query = "", requestKey = createRequestKey()) {
  try {
    const type = file.name.toLowerCase().endsWith(".json")
      ? "application/json" : "application/zip";
    const body = new Blob([file], { type });
    const result = await requestJson("POST", `/import?${query}`, body, requestKey);
    const reasons = result.skipped.join(" ");
    const skipped = reasons && ` Skipped: ${reasons}`;
    const { num_objects: numObjects, num_images: numImages } = result;
    const message = `${formatNumber(numObjects, "object")} in ${
      formatNumber(numImages, "image")} ${numObjects === 1 ? "was" : "were"} added.${
      skipped}`;
    const retry = () => importIntoFolder(file, "binarize=true", requestKey);
    if (result.num_smoothed) askForThreshold(message, retry);
    else showToast(message);
    await imageIndex.refresh(imageList.firstVisible);
    await loadLabels();
  } catch (error) {
    showError(error);
  }
}

function formatNumber(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function showError(error) {
  if (error.retry) askForThreshold(error.message, error.retry);
  else showToast(error.message);
  if (!isExpected(error)) console.warn(error);
}

function isExpected(error) {
  return error instanceof RequestRejected || error instanceof ServerUnavailable;
}

function hoverClick(click) {
  state.hoveredClick = click;
  requestDraw();
}

function setMasksHidden(isHidden) {
  state.masksHidden = isHidden;
  requestDraw();
}

function focusCanvas() {
  canvas.focus({ preventScroll: true });
}

function connectControls() {
  const actions = createActions(openNeighborImage);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) handleButtonClick(button, event, actions);
  });
  connectSliders(changeSettings, focusCanvas);
  elementById("edit-labels").addEventListener("click", openLabelDialog);
  const getTool = () => state.activeTool;
  listenForShortcuts(actions, { getTool, setTool, setMasksHidden });
  listenForFiles({
    onImages: (files) => openImage(imageIndex.addFiles(files)),
    onLabelMap: (file) => state.session.loadLabelMap(file),
    onImport: (file) => importIntoFolder(file),
    canLoadMasks: () => state.session !== null,
  });
  // The browser asks before it discards actions that are not saved.
  addEventListener("beforeunload", (event) => {
    if (sessionCache.unsavedSessions.length) event.preventDefault();
  });
}

/** Runs what the data attributes of a button name. */
function handleButtonClick(button, event, actions) {
  const { action, tool, view, sign, exportFormat, folderFormat } = button.dataset;
  if (action) actions[action]();
  if (tool) setTool(tool);
  if (view) changeSettings({ maskView: view });
  if (sign) setClickSign(sign === "positive");
  if (exportFormat) exportMasks(exportFormat);
  if (folderFormat) exportFolder(folderFormat);
  if (button.closest("#export-menu")) elementById("export-menu").hidePopover();
  // After a mouse click (detail > 0) Space finishes the object; it does not press the
  // button a second time.
  const opensPopup = button.hasAttribute("popovertarget") || button.closest("dialog") ||
    ["showHelp", "searchImages"].includes(action) || button.id === "edit-labels";
  if (event.detail > 0 && !opensPopup) focusCanvas();
}
