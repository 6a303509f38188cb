/** Painting by hand: a stroke changes a copy of the mask until it ends. */

import { fromCanvas } from "./masks.js";

export class Stroke {
  /**
   * @param {{width: number, height: number}} picture in pixels
   * @param {{mask: Mask, colour: string}} item the object that is corrected
   * @param {{erases: boolean, width: number}} how width in pixels of the picture
   */
  constructor({ width, height }, item, { erases, width: thickness }) {
    this.item = item;
    this.canvas = new OffscreenCanvas(width, height);
    const pen = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!item.mask.empty) {
      pen.drawImage(item.mask.tinted(item.colour), item.mask.left, item.mask.top);
    }
    pen.globalCompositeOperation = erases ? "destination-out" : "source-over";
    Object.assign(pen, { lineCap: "round", lineJoin: "round" });
    Object.assign(pen, { lineWidth: thickness, strokeStyle: item.colour });
    this.pen = pen;
  }

  /** Goes on to a point of the picture; the first point makes a dot. */
  to({ x, y }) {
    const from = this.at ?? { x, y };
    this.pen.beginPath();
    this.pen.moveTo(from.x, from.y);
    this.pen.lineTo(x, y);
    this.pen.stroke();
    this.at = { x, y };
  }

  /** The mask that the stroke leaves. */
  end() {
    return fromCanvas(this.canvas);
  }
}

/** Width of the brush on the screen in pixels: 2 to about 200, finer when small. */
export function brushWidth(size) {
  return 2 + (size / 100) ** 2 * 198;
}
