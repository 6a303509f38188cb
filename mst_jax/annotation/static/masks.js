/** Masks as run lengths come in; pixels, outlines and PNG files go out. */

/** True pixels within their bounding box; `bits` is row by row, 0 or 1. */
export class Mask {
  #area = null;
  #outline = null;
  #tinted = { colour: null, canvas: null };

  constructor(left, top, width, height, bits) {
    Object.assign(this, { left, top, width, height, bits });
  }

  get empty() {
    return this.width === 0;
  }

  /** Number of True pixels. */
  get area() {
    if (this.#area !== null) return this.#area;
    let area = 0;
    for (let at = 0; at < this.bits.length; at++) area += this.bits[at];
    return (this.#area = area);
  }

  has(x, y) {
    const column = x - this.left;
    const row = y - this.top;
    if (column < 0 || row < 0 || column >= this.width || row >= this.height) return false;
    return this.bits[row * this.width + column] === 1;
  }

  /** The border between True and False pixels as a path in pixels of the picture. */
  get outline() {
    this.#outline ??= trace(this);
    return this.#outline;
  }

  /** A canvas of the bounding box, opaque in `colour` where the mask is. */
  tinted(colour) {
    if (this.#tinted.colour !== colour) {
      this.#tinted = { colour, canvas: tint(this, colour) };
    }
    return this.#tinted.canvas;
  }
}

export const NOTHING = new Mask(0, 0, 0, 0, new Uint8Array());

/** Reads COCO's uncompressed run lengths: column by column, zeros first. */
export function fromRuns({ size: [height], counts }) {
  const box = boxOfRuns(counts, height);
  if (box === null) return NOTHING;
  const { left, top, width, rows } = box;
  const bits = new Uint8Array(width * rows);
  forEachRun(counts, (start, length) => {
    let column = Math.floor(start / height);
    let row = start - column * height;
    for (let more = length; more > 0; more--) {
      bits[(row - top) * width + column - left] = 1;
      if (++row === height) [row, column] = [0, column + 1];
    }
  });
  return new Mask(left, top, width, rows, bits);
}

/** Reads where the picture-sized canvas is more opaque than not. */
export function fromCanvas(canvas) {
  const { width, height } = canvas;
  const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let row = 0, at = 3; row < height; row++) {
    for (let column = 0; column < width; column++, at += 4) {
      if (rgba[at] < 128) continue;
      if (column < left) left = column;
      if (column > right) right = column;
      if (row < top) top = row;
      bottom = row;
    }
  }
  if (right < 0) return NOTHING;
  const [w, h] = [right - left + 1, bottom - top + 1];
  const bits = new Uint8Array(w * h);
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const at = ((row + top) * width + column + left) * 4 + 3;
      bits[row * w + column] = rgba[at] < 128 ? 0 : 1;
    }
  }
  return new Mask(left, top, w, h, bits);
}

/** Writes the mask as a PNG of the whole picture, white on black. */
export function toPng(mask, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, width, height);
  if (!mask.empty) context.drawImage(tint(mask, "#ffffff"), mask.left, mask.top);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Red, green and blue, 0 to 255, of "#rrggbb". */
export function rgb(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function forEachRun(counts, visit) {
  let start = 0;
  counts.forEach((length, index) => {
    if (index % 2 && length) visit(start, length);
    start += length;
  });
}

function boxOfRuns(counts, height) {
  let [left, right, top, bottom] = [Infinity, -1, height, -1];
  forEachRun(counts, (start, length) => {
    const end = start + length - 1;
    const [first, last] = [Math.floor(start / height), Math.floor(end / height)];
    left = Math.min(left, first);
    right = Math.max(right, last);
    // A run that goes on in the next column touches both edges of the picture.
    top = first < last ? 0 : Math.min(top, start % height);
    bottom = first < last ? height - 1 : Math.max(bottom, end % height);
  });
  if (right < 0) return null;
  return { left, top, width: right - left + 1, rows: bottom - top + 1 };
}

function tint({ width, height, bits }, colour) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const [red, green, blue] = rgb(colour);
  const words = new Uint32Array(pixels.data.buffer);
  const word = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  for (let at = 0; at < bits.length; at++) if (bits[at]) words[at] = word;
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Lines between pixels that differ, each as long as it goes; row by row, for speed. */
function trace({ left, top, width, height, bits }) {
  const path = new Path2D();
  const line = (x0, y0, x1, y1) => {
    path.moveTo(left + x0, top + y0);
    path.lineTo(left + x1, top + y1);
  };
  for (let row = 0; row <= height; row++) {
    const below = row * width;
    let from = -1;
    for (let column = 0; column <= width; column++) {
      const above = row > 0 && column < width ? bits[below - width + column] : 0;
      const here = row < height && column < width ? bits[below + column] : 0;
      const differs = above !== here;
      if (differs && from < 0) from = column;
      if (!differs && from >= 0) {
        line(from, row, column, row);
        from = -1;
      }
    }
  }
  const from = new Int32Array(width + 1).fill(-1); // first row of each column's line
  for (let row = 0; row <= height; row++) {
    for (let column = 0; column <= width; column++) {
      const at = row * width + column;
      const before = row < height && column > 0 ? bits[at - 1] : 0;
      const here = row < height && column < width ? bits[at] : 0;
      const differs = before !== here;
      if (differs && from[column] < 0) from[column] = row;
      if (!differs && from[column] >= 0) {
        line(column, from[column], column, row);
        from[column] = -1;
      }
    }
  }
  return path;
}
