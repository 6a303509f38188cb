/** Draws the canvas: image, masks, token boxes, clicks and brush cursor. Called by
 * app.js for every frame; overlay_loader.js uses `colorizeProbability`. */

import { PROBABILITY_COLORMAP } from "./colors.js";

const POSITIVE_COLOR = "#0072b2";
const NEGATIVE_COLOR = "#d55e00";
const FINE_TOKEN_COLOR = "#ffd60a"; // as `predict --tokens` draws them
const COARSE_TOKEN_COLOR = "#40c4ff";
const MIN_PIXELATED_SCALE = 3; // from this scale on, pixels are drawn as squares
const RELATIVE_OPACITY = 0.7; // of other objects, relative to the current one
/** Radius of a click in CSS pixels. */
export const CLICK_RADIUS = 8;

/**
 * Draws the whole canvas.
 * @param {CanvasRenderingContext2D} context with CSS pixels as units
 * @param {object} scene the fields of `state`, and
 * @param {object} scene.settings settings of the user
 * @param {?{x: number, y: number, diameter: number}} scene.brushCursor position in
 *   image pixels, diameter in CSS pixels
 */
export function renderScene(context, scene) {
  const { viewport, session } = scene;
  context.clearRect(0, 0, viewport.canvasSize.width, viewport.canvasSize.height);
  if (!session) return;
  // 1. What zooms with the image is drawn in image pixels.
  drawInImagePixels(context, viewport, () => {
    context.imageSmoothingEnabled = viewport.scale < MIN_PIXELATED_SCALE;
    context.filter = displayFilter(scene.settings);
    context.drawImage(session.image, 0, 0);
    context.filter = "none";
    if (scene.masksHidden) return;
    drawMasks(context, scene);
    if (scene.settings.showTokens && scene.overlays.tokenBoxes) {
      drawTokenBoxes(context, scene);
    }
  });
  // 2. Clicks and the brush cursor keep their size on the screen.
  if (!scene.masksHidden && session.currentObject) drawClicks(context, scene);
  if (scene.brushCursor) drawBrushCursor(context, viewport, scene.brushCursor);
  if (scene.keyboardCursor) drawKeyboardCursor(context, viewport, scene.keyboardCursor);
}

/**
 * Returns the filter for brightness and contrast of the image, not of the masks.
 * @param {{brightness: number, contrast: number}} settings -100 to 100, 0 = unchanged
 * @returns {string} value of `context.filter`
 */
export function displayFilter({ brightness, contrast }) {
  if (brightness === 0 && contrast === 0) return "none";
  // Equal steps of the sliders multiply by equal factors, up to 16 and up to 4.
  return `brightness(${2 ** (brightness / 25)}) contrast(${2 ** (contrast / 50)})`;
}

function drawInImagePixels(context, viewport, draw) {
  context.save();
  context.translate(viewport.offsetX, viewport.offsetY);
  context.scale(viewport.scale, viewport.scale);
  draw();
  context.restore();
}

function drawMasks(context, { session, settings, activeStroke, overlays, viewport }) {
  const opacity = settings.maskOpacity / 100;
  // 1. The probability map lies below all masks.
  if (settings.maskView === "probability" && overlays.probability) {
    context.globalAlpha = (1 + opacity) / 2;
    context.drawImage(overlays.probability, 0, 0);
  }
  // 2. Filled masks would hide the token boxes, so these show outlines only.
  const hidesFill = settings.showTokens && overlays.tokenBoxes;
  const isFilled = settings.maskView === "fill" && !hidesFill;
  for (const object of session.objects.filter(({ isHidden }) => !isHidden)) {
    const isCurrent = object === session.currentObject;
    const { mask, color } = object;
    if (activeStroke?.targetObject === object) {
      // The stroke's canvas holds the mask as well; it stays visible at opacity 0.
      context.globalAlpha = Math.max(opacity, 0.3);
      context.drawImage(activeStroke.canvas, 0, 0);
    } else if (!mask.isEmpty) {
      context.globalAlpha = isCurrent ? opacity : opacity * RELATIVE_OPACITY;
      if (isFilled) context.drawImage(mask.tintedCanvas(color), mask.left, mask.top);
      context.globalAlpha = 1;
      drawOutline(context, object, viewport.scale, isCurrent);
    }
  }
  context.globalAlpha = 1;
}

/** Draws the outline of a mask over a dark rim, so that it is visible on any image. */
function drawOutline(context, { mask, color }, scale, isCurrent) {
  context.lineCap = "square";
  // Widths are CSS pixels; the context scales them with the image.
  context.lineWidth = (isCurrent ? 4 : 3) / scale;
  context.strokeStyle = "rgb(0 0 0 / 0.45)";
  context.stroke(mask.outlinePath);
  context.lineWidth = (isCurrent ? 2 : 1.2) / scale;
  context.strokeStyle = color;
  context.stroke(mask.outlinePath);
}

function drawTokenBoxes(context, { overlays, viewport }) {
  const { fine, coarse } = overlays.tokenBoxes;
  // 1. Coarse tokens as outlines, over a dark rim.
  for (const [color, width] of [["rgb(0 0 0 / 0.5)", 4], [COARSE_TOKEN_COLOR, 2]]) {
    context.lineWidth = width / viewport.scale;
    context.strokeStyle = color;
    for (const box of coarse) context.strokeRect(...box);
  }
  // 2. Fine tokens filled.
  context.lineWidth = 1 / viewport.scale;
  context.strokeStyle = FINE_TOKEN_COLOR;
  context.fillStyle = FINE_TOKEN_COLOR;
  for (const box of fine) {
    context.globalAlpha = 0.35;
    context.fillRect(...box);
    context.globalAlpha = 1;
    context.strokeRect(...box);
  }
}

function drawClicks(context, { session, viewport, hoveredClick }) {
  const { clicks, pendingClicks } = session.currentObject;
  for (const click of [...clicks, ...pendingClicks]) {
    // Clicks name pixels; 0.5 is the center of one.
    const center = viewport.toCanvas(click.x + 0.5, click.y + 0.5);
    const radius = hoveredClick === click ? CLICK_RADIUS + 3 : CLICK_RADIUS;
    context.globalAlpha = pendingClicks.includes(click) ? 0.6 : 1;
    drawClick(context, center, click.positive, radius);
  }
  context.globalAlpha = 1;
}

/** Draws a dot with a plus or a minus sign; `center` and `radius` in CSS pixels. */
function drawClick(context, { x, y }, isPositive, radius) {
  // 1. The dot, with a shadow.
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = isPositive ? POSITIVE_COLOR : NEGATIVE_COLOR;
  context.shadowColor = "rgb(0 0 0 / 0.5)";
  context.shadowBlur = 3;
  context.fill();
  // 2. A white rim, without a shadow.
  context.shadowBlur = 0;
  context.lineWidth = 2;
  context.lineCap = "butt";
  context.strokeStyle = "#fff";
  context.stroke();
  // 3. The sign.
  context.beginPath();
  context.moveTo(x - radius / 2, y);
  context.lineTo(x + radius / 2, y);
  if (isPositive) {
    context.moveTo(x, y - radius / 2);
    context.lineTo(x, y + radius / 2);
  }
  context.stroke();
}

function drawBrushCursor(context, viewport, { x, y, diameter }) {
  const center = viewport.toCanvas(x, y);
  for (const [color, lineWidth] of [["rgb(0 0 0 / 0.6)", 3], ["#fff", 1.2]]) {
    context.beginPath();
    context.arc(center.x, center.y, diameter / 2, 0, 2 * Math.PI);
    context.lineWidth = lineWidth;
    context.strokeStyle = color;
    context.stroke();
  }
}

/** Draws a cross with a gap at the pixel that Enter clicks. */
function drawKeyboardCursor(context, viewport, { x, y }) {
  const center = viewport.toCanvas(x + 0.5, y + 0.5);
  for (const [color, lineWidth] of [["rgb(0 0 0 / 0.7)", 4], ["#fff", 1.5]]) {
    context.beginPath();
    for (const [stepX, stepY] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(center.x + 5 * stepX, center.y + 5 * stepY);
      context.lineTo(center.x + 18 * stepX, center.y + 18 * stepY);
    }
    context.lineWidth = lineWidth;
    context.strokeStyle = color;
    context.stroke();
  }
}

/**
 * Colors a probability map from dark violet (0) to yellow (255).
 * @param {ImageBitmap} grayMap
 * @returns {OffscreenCanvas}
 */
export function colorizeProbability(grayMap) {
  const canvas = new OffscreenCanvas(grayMap.width, grayMap.height);
  const context = canvas.getContext("2d");
  context.drawImage(grayMap, 0, 0);
  const imageData = context.getImageData(0, 0, grayMap.width, grayMap.height);
  // Red, green and blue of gray pixels are equal; alpha stays.
  for (let index = 0; index < imageData.data.length; index += 4) {
    const entry = imageData.data[index] * 3;
    imageData.data.set(PROBABILITY_COLORMAP.subarray(entry, entry + 3), index);
  }
  context.putImageData(imageData, 0, 0);
  return canvas;
}
