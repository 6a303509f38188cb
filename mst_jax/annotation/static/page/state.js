/** The state of the page, and the only way to redraw it. Used by all modules. */

import { Viewport } from "../drawing/viewport.js";

/** What the page shows; whoever changes it calls `requestRender` or `requestDraw`. */
export const state = {
  /** Response of GET /api/about; polled until the model is compiled. */
  serverInfo: { ready: true, has_token_selection: false },
  viewport: new Viewport(),
  /** @type {?AnnotationSession} session of the open image; null before the first one */
  session: null,
  /** @type {"click"|"brush"|"eraser"|"hand"} */
  activeTool: "click",
  /** Whether a plain click is positive; Shift and the right button invert it. */
  clicksArePositive: true,
  /** Whether masks and clicks are hidden, while a key is held. */
  masksHidden: false,
  /** @type {?BrushStroke} stroke in progress */
  activeStroke: null,
  /** @type {?{x: number, y: number}} pointer position in image pixels */
  pointerPosition: null,
  /** @type {?{x: number, y: number}} pixel that the arrow keys have chosen */
  keyboardCursor: null,
  /** Click of the current object below the pointer, or null. */
  hoveredClick: null,
  /** Overlays of the current object: {probability, tokenBoxes}. */
  overlays: {},
  /** @type {?{totalMs: number, modelMs: number}} from the last click to its mask */
  clickLatency: null,
  /** @type {?string} name of the image that is being opened */
  openingImageName: null,
  /** @type {?string} why the current image cannot be shown */
  openError: null,
  /** Requests of all open images that wait for their responses. */
  numUnsavedElsewhere: 0,
  /** Labels {id, name} in the order of their keys 1 to 9. */
  labels: [],
  /** Whether the server has a fixed list of labels. */
  labelsAreFixed: false,
  /** @type {?string} label of new objects */
  activeLabel: null,
};

let renderPage = null;
let isFrameRequested = false;
let havePanelsChanged = false;

/**
 * Sets the function that draws the page, and draws it for the first time.
 * @param {(havePanelsChanged: boolean) => void} renderCallback false: only the
 *   canvas and the pointer position have changed
 */
export function setRenderCallback(renderCallback) {
  renderPage = renderCallback;
  requestRender();
}

/** Redraws the page with the next frame; several calls before it draw once. */
export function requestRender() {
  havePanelsChanged = true;
  requestDraw();
}

/** Redraws the canvas with the next frame, not the panels. */
export function requestDraw() {
  if (isFrameRequested) return;
  isFrameRequested = true;
  requestAnimationFrame(() => {
    isFrameRequested = false;
    const drawPanels = havePanelsChanged;
    havePanelsChanged = false;
    renderPage(drawPanels);
  });
}
