/** The actions of buttons and keyboard shortcuts, by name. Used by app.js. */

import { downloadFile } from "../server/api_client.js";
import { elementById } from "./dom.js";
import { settings, switchTheme, updateSettings } from "./settings.js";
import { requestRender, state } from "./state.js";
import { clearToasts, showToast } from "./toast.js";

const ZOOM_STEP = 1.25; // zoom factor of one key press
const BRUSH_STEP = 5; // brush size of one key press

/**
 * Creates the table of actions; shortcuts pass the pressed key, buttons pass nothing.
 * @param {(step: 1|-1) => void} openNeighborImage opens the next (1) or previous (-1)
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
    resetDisplay: () => changeSettings({ brightness: 0, contrast: 0 }),
    switchTheme,
    showHelp: () => elementById("help-dialog").showModal(),
    // Objects
    undo,
    redo: () => state.session?.redo(),
    resetObject: () => state.session?.resetObject(),
    finishObject,
    deleteObject: () =>
      state.session?.currentObject && deleteObject(state.session.currentObject),
    stepObject: (key) => stepObject(key === "J" ? 1 : -1),
    applyLabel: (key) => applyLabel(state.labels[Number(key) - 1]?.name),
    // Zoom; at actual size an image pixel is one physical pixel of the screen.
    zoomByKey: viewportAction((key) =>
      viewport.zoomBy(key === "+" ? ZOOM_STEP : 1 / ZOOM_STEP)),
    zoomIn: viewportAction(() => viewport.zoomBy(ZOOM_STEP)),
    zoomOut: viewportAction(() => viewport.zoomBy(1 / ZOOM_STEP)),
    fitImage: viewportAction(() => viewport.fitImage()),
    zoomToActualSize: viewportAction(() =>
      viewport.zoomBy(1 / viewport.scale / devicePixelRatio)),
    // Images and files
    openNextImage: () => openNeighborImage(1),
    openPreviousImage: () => openNeighborImage(-1),
    toggleImagePanel: () => setImagePanelOpen(!isImagePanelOpen()),
    searchImages: () => {
      setImagePanelOpen(true);
      elementById("image-search").focus();
    },
    openImages: () => elementById("image-file-input").click(),
    loadMasks: () => elementById("mask-file-input").click(),
    importFolder: () => elementById("import-file-input").click(),
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
 * Shows or hides the images on narrow screens, where they cover the canvas.
 * @param {boolean} isOpen
 */
export function setImagePanelOpen(isOpen) {
  elementById("image-panel").classList.toggle("open", isOpen);
  requestRender();
}

/** @returns {boolean} whether the images cover the canvas of a narrow screen */
export function isImagePanelOpen() {
  return elementById("image-panel").classList.contains("open");
}

/**
 * Deletes an object; a toast offers to restore it, as undo does.
 * @param {AnnotatedObject} object
 */
export function deleteObject(object) {
  const { session } = state;
  if (object.isEmpty) return session.discardObject(object);
  session.deleteObject(object);
  const message = `${object.name || "The object"} was deleted.`;
  showToast(message, { label: "Undo (Z)", run: undo });
}

/**
 * Labels the current object and those that follow; without an object, the label that is
 * active already is switched off.
 * @param {?string} label undefined: the pressed key has no label
 */
export function applyLabel(label) {
  if (label === undefined) return;
  const object = state.session?.currentObject;
  const isSwitchedOff = !object && state.activeLabel === label;
  state.activeLabel = isSwitchedOff ? null : label;
  if (state.session) state.session.nextName = state.activeLabel;
  const isRenamed = object && object.name !== label;
  if (isRenamed) state.session.updateObject(object, { name: label });
  requestRender();
}

/**
 * Downloads a file with the masks of the open image.
 * @param {"labels"|"coco"|"coco_rle"|"numpy"|"zip"} format
 */
export async function exportMasks(format) {
  const { session } = state;
  if (!session?.objects.length) {
    return showToast("There is no object to export. Click on one first.");
  }
  // The server must know all actions before it writes the file.
  await session.requestQueue.whenIdle();
  await download(`/sessions/${session.sessionId}/export?format=${format}`);
}

/**
 * Downloads a file with the finished objects of all images of the folder.
 * @param {"labels"|"coco"|"coco_rle"} format
 */
export async function exportFolder(format) {
  await state.session?.requestQueue.whenIdle();
  await download(`/export?format=${format}`);
}

async function download(path) {
  try {
    await downloadFile(path);
  } catch (error) {
    showToast(error.message);
  }
}

function undo() {
  // A message that offers to undo the same action is out of date.
  clearToasts();
  state.session?.undo();
}

function finishObject() {
  const object = state.session?.currentObject;
  if (!object) return;
  if (!object.isEmpty) return state.session.selectObject(null);
  showToast("This object is empty. Click on it before you finish it.");
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
  changeSettings({
    brushSize: Math.min(100, Math.max(1, settings.brushSize + sizeChange)),
  });
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
