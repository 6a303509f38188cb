/** Brush strokes: painted on a copy of a mask until they end. Used by canvas_events.js;
 * render.js draws the stroke in progress. */

import { maskFromCanvas } from "./binary_mask.js";

export class BrushStroke {
  /**
   * @param {{width: number, height: number}} imageSize image pixels
   * @param {{mask: BinaryMask, color: string}} targetObject object that is corrected
   * @param {{isEraser: boolean, lineWidth: number}} options width in image pixels
   */
  constructor({ width, height }, targetObject, { isEraser, lineWidth }) {
    this.targetObject = targetObject;
    this.canvas = new OffscreenCanvas(width, height);
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    // 1. Start with the current mask.
    const { mask, color } = targetObject;
    if (!mask.isEmpty) context.drawImage(mask.tintedCanvas(color), mask.left, mask.top);
    // 2. Lines add to it or erase from it.
    context.globalCompositeOperation = isEraser ? "destination-out" : "source-over";
    Object.assign(context, { lineCap: "round", lineJoin: "round" });
    Object.assign(context, { lineWidth, strokeStyle: color });
    this.context = context;
    this.lastPoint = null;
  }

  /**
   * Draws a line to a point; the first point makes a dot.
   * @param {{x: number, y: number}} point image pixels
   */
  extendTo({ x, y }) {
    const startPoint = this.lastPoint ?? { x, y };
    this.context.beginPath();
    this.context.moveTo(startPoint.x, startPoint.y);
    this.context.lineTo(x, y);
    this.context.stroke();
    this.lastPoint = { x, y };
  }

  /** @returns {BinaryMask} mask with the stroke */
  toMask() {
    return maskFromCanvas(this.canvas);
  }
}

/**
 * Converts a brush size to a diameter; small sizes are spaced more finely.
 * @param {number} brushSize 1 to 100
 * @returns {number} diameter in CSS pixels, 2 to 200
 */
export function brushDiameter(brushSize) {
  return 2 + (brushSize / 100) ** 2 * 198;
}
