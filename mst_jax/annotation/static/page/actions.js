/** The actions of buttons and keyboard shortcuts, by name. Used by app.js. */

import { sendRequest } from "../server/api_client.js";
import { elementById } from "./dom.js";
import { settings, switchTheme, updateSettings } from "./settings.js";
import { requestRender, state } from "./state.js";
import { showToast } from "./toast.js";

const ZOOM_STEP = 1.25; // zoom factor of one key press
const BRUSH_STEP = 5; // brush size of one key press
const DOWNLOAD_URL_MS = 60_000; // time until the URL of a download is released

/**
 * Creates the table of actions; shortcuts pass the pressed key, buttons pass nothing.
 * @param {(step: number) => void} openNeighborImage opens the next (1) or previous (-1)
 * @returns {Object<string, (key?: string) => void>} functions by action name
 */
export function createActions(openNeighborImage) {
  const { viewport } = state;
  const toolSetter = (tool) => () => setTool(tool);
  const viewSetter = (maskView) => () => changeSettings({ maskView });
  const viewportAction = (changeViewport) => (key) => {
    changeViewport(key);
    requestRender();
  };
  return {
    // Tools
    useClickTool: toolSetter("click"),
    useBrush: toolSetter("brush"),
    useEraser: toolSetter("eraser"),
    useHand: toolSetter("hand"),
    toggleClickSign: () => setClickSign(!state.clicksArePositive),
    resizeBrush: (key) => resizeBrush(key === "]" ? BRUSH_STEP : -BRUSH_STEP),
    // Views
    showFilledMasks: viewSetter("fill"),
    showOutlines: viewSetter("outline"),
    showProbability: viewSetter("probability"),
    toggleTokens,
    switchTheme,
    showHelp: () => elementById("help-dialog").showModal(),
    // Objects
    undo: () => state.session?.undo(),
    redo: () => state.session?.redo(),
    resetObject: () => state.session?.resetObject(),
    finishObject,
    deleteObject: () =>
      state.session?.currentObject && deleteObject(state.session.currentObject),
    stepObject: (key) => stepObject(key === "J" ? 1 : -1),
    // Zoom; at actual size an image pixel is one physical pixel of the screen.
    zoomByKey: viewportAction((key) =>
      viewport.zoomBy(key === "+" ? ZOOM_STEP : 1 / ZOOM_STEP)),
    zoomIn: viewportAction(() => viewport.zoomBy(ZOOM_STEP)),
    zoomOut: viewportAction(() => viewport.zoomBy(1 / ZOOM_STEP)),
    fitImage: viewportAction(() => viewport.fitImage()),
    zoomToActualSize: viewportAction(() =>
      viewport.zoomBy(1 / viewport.scale / devicePixelRatio)),
    // Files
    stepImage: (key) => openNeighborImage(key === "PageDown" ? 1 : -1),
    openImages: () => elementById("image-file-input").click(),
    loadMasks: () => elementById("mask-file-input").click(),
    exportAll: () => exportMasks("zip"),
  };
}

/** @param {"click"|"brush"|"eraser"|"hand"} tool */
export function setTool(tool) {
  state.activeTool = tool;
  requestRender();
}

/** @param {boolean} isPositive whether plain clicks are positive */
export function setClickSign(isPositive) {
  state.clicksArePositive = isPositive;
  requestRender();
}

/**
 * Changes settings and redraws the page.
 * @param {Partial<typeof settings>} changes
 */
export function changeSettings(changes) {
  updateSettings(changes);
  requestRender();
}

/**
 * Deletes an object; a toast offers to restore it.
 * @param {AnnotatedObject} object
 */
export function deleteObject(object) {
  const restoreObject = state.session.deleteObject(object);
  if (object.mask.isEmpty) return;
  const message = `${object.name || "The object"} was deleted.`;
  showToast(message, { label: "Restore", run: restoreObject });
}

/**
 * Downloads a file with the masks of all objects.
 * @param {"labels"|"coco"|"coco_rle"|"numpy"|"zip"} format
 */
export async function exportMasks(format) {
  const { session } = state;
  if (!session?.objects.length) {
    return showToast("There is no object to export. Click on one first.");
  }
  // 1. The server must know all actions before it writes the file.
  await session.requestQueue.whenIdle();
  try {
    const path = `/sessions/${session.sessionId}/export?format=${format}`;
    const response = await sendRequest("GET", path);
    // 2. The server names the file, percent-encoded.
    const contentDisposition = response.headers.get("Content-Disposition");
    const fileName = /filename\*=UTF-8''(.+)/.exec(contentDisposition);
    // 3. A click on a link starts the download.
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = fileName ? decodeURIComponent(fileName[1]) : format;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), DOWNLOAD_URL_MS);
  } catch (error) {
    showToast(error.message);
  }
}

function finishObject() {
  const object = state.session?.currentObject;
  if (!object) return;
  if (object.mask.isEmpty && !object.pendingClicks.length) {
    showToast("This object is empty. Click on it before you finish it.");
  } else {
    state.session.finishObject();
  }
}

/** Selects the next (1) or the previous (-1) object. */
function stepObject(step) {
  const { session } = state;
  if (!session?.objects.length) return;
  const lastIndex = session.objects.length - 1;
  const currentIndex = session.objects.indexOf(session.currentObject);
  // Without a current object, the previous one is the last.
  const nextIndex = currentIndex < 0 && step < 0 ? lastIndex : currentIndex + step;
  session.selectObject(session.objects[Math.min(Math.max(nextIndex, 0), lastIndex)]);
}

function resizeBrush(sizeChange) {
  const brushSize = Math.min(100, Math.max(1, settings.brushSize + sizeChange));
  elementById("brush-size").value = brushSize;
  changeSettings({ brushSize });
}

function toggleTokens() {
  if (!state.serverInfo.has_token_selection) {
    return showToast("This model has no token selection.");
  }
  changeSettings({ showTokens: !settings.showTokens });
  if (settings.showTokens && !state.session?.currentObject?.clicks.length) {
    showToast("Click on an object to see the tokens that the model selects.");
  }
}
