/** Applies the active tool to the canvas: clicks, selection, brush strokes, hovering.
 * Used by app.js; pointer_gestures.js supplies the gestures. */

import { BrushStroke, brushDiameter } from "../drawing/brush.js";
import { CLICK_RADIUS } from "../drawing/render.js";
import { isInsideImage } from "../page/page_controls.js";
import { settings } from "../page/settings.js";
import { requestDraw, requestRender, state } from "../page/state.js";
import { showToast } from "../page/toast.js";
import { listenForCursorKeys } from "./keyboard_cursor.js";
import { listenForGestures } from "./pointer_gestures.js";

const HIT_RADIUS = CLICK_RADIUS + 4; // CSS pixels around a click that still hit it

/**
 * Keeps the resolution of the canvas that of the screen, and listens to the pointer.
 * @param {HTMLCanvasElement} canvas
 */
export function connectCanvas(canvas) {
  new ResizeObserver(() => matchScreenResolution(canvas)).observe(canvas);
  listenForGestures(canvas, state.viewport, {
    getTool: () => state.activeTool,
    onTap: handleTap,
    onStrokeStart: startStroke,
    onStrokeMove: extendStroke,
    onStrokeEnd: endStroke,
    onStrokeCancel: cancelStroke,
    onHover: handleHover,
    onViewportChange: requestRender,
  });
  listenForCursorKeys(canvas, (x, y, isNegative) =>
    addClick(x, y, isNegative !== state.clicksArePositive));
}

/**
 * Returns the circle to draw at the pointer for the brush and the eraser.
 * @returns {?{x: number, y: number, diameter: number}} position in image pixels,
 *   diameter in CSS pixels
 */
export function brushCursor() {
  if (!isBrushActive() || !state.pointerPosition || !state.session) return null;
  return { ...state.pointerPosition, diameter: brushDiameter(settings.brushSize) };
}

const isBrushActive = () => ["brush", "eraser"].includes(state.activeTool);

function matchScreenResolution(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  // Resizing has reset the context; from here on it draws in CSS pixels again.
  const context = canvas.getContext("2d");
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  state.viewport.setCanvasSize({ width, height });
  requestRender();
}

function handleTap(point, { isRightButton, shift, alt, ctrl, isHandTool }) {
  const { session } = state;
  if (!session || !isInsideImage(point, session.image)) return;
  const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
  if (isHandTool || ctrl) {
    // Select the topmost visible object below the pointer.
    const hitObject = session.objects.findLast(
      ({ mask, isHidden }) => !isHidden && mask.contains(x, y),
    );
    if (hitObject) session.selectObject(hitObject);
  } else if (alt) {
    const hitClick = findClickNear(point);
    if (!hitClick) return;
    session.deleteClick(session.currentObject, hitClick);
  } else {
    addClick(x, y, (isRightButton || shift) !== state.clicksArePositive);
  }
}

async function addClick(x, y, positive) {
  const { session } = state;
  if (!positive && !session.currentObject) {
    showToast("The first click on an object must be positive.");
    return;
  }
  const startTime = performance.now();
  const modelMs = await session.addClick(x, y, positive);
  if (modelMs === undefined) return;
  state.clickLatency = { totalMs: performance.now() - startTime, modelMs };
  requestRender();
}

/** Returns the topmost click of the current object near a point, or null. */
function findClickNear(point) {
  const isNear = ({ x, y }) => {
    const imageDistance = Math.hypot(x + 0.5 - point.x, y + 0.5 - point.y);
    return imageDistance * state.viewport.scale < HIT_RADIUS;
  };
  return state.session?.currentObject?.clicks.findLast(isNear) ?? null;
}

function handleHover(point, pointerType) {
  state.pointerPosition = point;
  const canHitClick = point && pointerType === "mouse" && !isBrushActive();
  state.hoveredClick = canHitClick ? findClickNear(point) : null;
  requestDraw();
}

function startStroke(point, { isRightButton }) {
  const { session, viewport } = state;
  if (!session) return;
  // The right button inverts the tool: the brush erases, the eraser paints.
  const isEraser = (state.activeTool === "eraser") !== isRightButton;
  if (isEraser && !session.currentObject) {
    showToast("There is nothing to erase. Select an object first.");
    return;
  }
  // The brush keeps its size on the screen, so its width in the image depends on zoom.
  const lineWidth = brushDiameter(settings.brushSize) / viewport.scale;
  const createsObject = !session.currentObject;
  state.activeStroke = new BrushStroke(
    session.image, session.getOrCreateObject(), { isEraser, lineWidth },
  );
  state.activeStroke.createsObject = createsObject;
  extendStroke(point);
}

function extendStroke(point) {
  state.activeStroke?.extendTo(point);
  requestDraw();
}

/** Sends the stroke in progress, if there is one. */
export function endStroke() {
  if (!state.activeStroke) return;
  const { targetObject } = state.activeStroke;
  state.session.replaceMask(targetObject, state.activeStroke.toMask());
  state.activeStroke = null;
  requestRender();
}

/** Discards the stroke, and the object that was created for it. */
function cancelStroke() {
  if (state.activeStroke?.createsObject) {
    state.session.discardObject(state.activeStroke.targetObject);
  }
  state.activeStroke = null;
  requestRender();
}
