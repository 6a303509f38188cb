/** Binary masks: decoded from run lengths or a canvas, drawn as tint and outline,
 * encoded as PNG. Used by session.js, render.js and brush.js. */

/** Object pixels within their bounding box; immutable, so that drawings are cached. */
export class BinaryMask {
  #area = null;
  #outlinePath = null;
  #tintCache = { color: null, canvas: null };

  /**
   * @param {number} left first column of the bounding box, image pixels
   * @param {number} top first row of the bounding box, image pixels
   * @param {number} width of the bounding box; 0 for an empty mask
   * @param {number} height of the bounding box
   * @param {Uint8Array} pixels width * height values row by row, 1 = object
   */
  constructor(left, top, width, height, pixels) {
    Object.assign(this, { left, top, width, height, pixels });
  }

  get isEmpty() {
    return this.width === 0;
  }

  /** Number of object pixels. */
  get area() {
    if (this.#area !== null) return this.#area;
    let area = 0;
    for (let index = 0; index < this.pixels.length; index++) area += this.pixels[index];
    return (this.#area = area);
  }

  /**
   * @param {number} x column of the image, an integer
   * @param {number} y row of the image, an integer
   * @returns {boolean} whether the pixel belongs to the object
   */
  contains(x, y) {
    const column = x - this.left;
    const row = y - this.top;
    const isInBox =
      column >= 0 && row >= 0 && column < this.width && row < this.height;
    return isInBox && this.pixels[row * this.width + column] === 1;
  }

  /** Border between object and background as a Path2D in image pixels. */
  get outlinePath() {
    this.#outlinePath ??= traceOutline(this);
    return this.#outlinePath;
  }

  /**
   * @param {string} color "#rrggbb"
   * @returns {OffscreenCanvas} the bounding box, opaque in `color` on the object
   */
  tintedCanvas(color) {
    if (this.#tintCache.color !== color) {
      this.#tintCache = { color, canvas: drawTint(this, color) };
    }
    return this.#tintCache.canvas;
  }
}

export const EMPTY_MASK = new BinaryMask(0, 0, 0, 0, new Uint8Array());

/**
 * Decodes COCO's uncompressed run lengths: column by column, background first.
 * @param {{size: [number, number], counts: number[]}} runLengths height, width and runs
 * @returns {BinaryMask}
 */
export function decodeRunLengths({ size: [imageHeight], counts }) {
  const boundingBox = boundingBoxOfRuns(counts, imageHeight);
  if (boundingBox === null) return EMPTY_MASK;
  const { left, top, width, height } = boundingBox;
  const pixels = new Uint8Array(width * height);
  forEachObjectRun(counts, (start, length) => {
    let column = Math.floor(start / imageHeight);
    let row = start - column * imageHeight;
    for (let remaining = length; remaining > 0; remaining--) {
      pixels[(row - top) * width + column - left] = 1;
      // A run continues at the top of the next column.
      if (++row === imageHeight) [row, column] = [0, column + 1];
    }
  });
  return new BinaryMask(left, top, width, height, pixels);
}

/**
 * Reads a mask from a canvas: the pixels that are at least half opaque.
 * @param {OffscreenCanvas} canvas as large as the image
 * @returns {BinaryMask}
 */
export function maskFromCanvas(canvas) {
  const { width: canvasWidth, height: canvasHeight } = canvas;
  const context = canvas.getContext("2d");
  const rgba = context.getImageData(0, 0, canvasWidth, canvasHeight).data;
  // 1. Bounding box of the opaque pixels; every fourth byte is alpha.
  let [left, right, top, bottom] = [canvasWidth, -1, canvasHeight, -1];
  for (let row = 0, alphaIndex = 3; row < canvasHeight; row++) {
    for (let column = 0; column < canvasWidth; column++, alphaIndex += 4) {
      if (rgba[alphaIndex] < 128) continue;
      if (column < left) left = column;
      if (column > right) right = column;
      if (row < top) top = row;
      bottom = row;
    }
  }
  if (right < 0) return EMPTY_MASK;
  // 2. Copy the pixels of the box.
  const [width, height] = [right - left + 1, bottom - top + 1];
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const alphaIndex = ((row + top) * canvasWidth + column + left) * 4 + 3;
      pixels[row * width + column] = rgba[alphaIndex] < 128 ? 0 : 1;
    }
  }
  return new BinaryMask(left, top, width, height, pixels);
}

/**
 * Encodes a mask as a PNG of the whole image, white on black.
 * @param {BinaryMask} mask
 * @param {number} imageWidth image pixels
 * @param {number} imageHeight image pixels
 * @returns {Promise<Blob>}
 */
export function encodeMaskPng(mask, imageWidth, imageHeight) {
  const canvas = new OffscreenCanvas(imageWidth, imageHeight);
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, imageWidth, imageHeight);
  if (!mask.isEmpty) context.drawImage(drawTint(mask, "#ffffff"), mask.left, mask.top);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Splits "#rrggbb" into red, green and blue, 0 to 255. */
function parseHexColor(color) {
  const value = parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Calls `visitRun(start, length)` for each run of object pixels, the odd ones. */
function forEachObjectRun(counts, visitRun) {
  let start = 0;
  counts.forEach((length, index) => {
    if (index % 2 && length) visitRun(start, length);
    start += length;
  });
}

/** Returns {left, top, width, height} of the object pixels, or null without any. */
function boundingBoxOfRuns(counts, imageHeight) {
  let [left, right, top, bottom] = [Infinity, -1, imageHeight, -1];
  forEachObjectRun(counts, (start, length) => {
    const end = start + length - 1;
    const firstColumn = Math.floor(start / imageHeight);
    const lastColumn = Math.floor(end / imageHeight);
    left = Math.min(left, firstColumn);
    right = Math.max(right, lastColumn);
    // A run that continues in the next column touches both edges of the image.
    const isSplit = firstColumn < lastColumn;
    top = isSplit ? 0 : Math.min(top, start % imageHeight);
    bottom = isSplit ? imageHeight - 1 : Math.max(bottom, end % imageHeight);
  });
  if (right < 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function drawTint({ width, height, pixels }, color) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const imageData = context.createImageData(width, height);
  const [red, green, blue] = parseHexColor(color);
  // One 32-bit write a pixel; little-endian machines store it as R, G, B, A.
  const packedPixels = new Uint32Array(imageData.data.buffer);
  const packedColor = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  for (let index = 0; index < pixels.length; index++) {
    if (pixels[index]) packedPixels[index] = packedColor;
  }
  context.putImageData(imageData, 0, 0);
  return canvas;
}

/** Collects the edges between object and background; straight parts become one line. */
function traceOutline(mask) {
  const outlinePath = new Path2D();
  const addLine = (x0, y0, x1, y1) => {
    outlinePath.moveTo(mask.left + x0, mask.top + y0);
    outlinePath.lineTo(mask.left + x1, mask.top + y1);
  };
  addHorizontalEdges(mask, addLine);
  addVerticalEdges(mask, addLine);
  return outlinePath;
}

function addHorizontalEdges({ width, height, pixels }, addLine) {
  for (let row = 0; row <= height; row++) {
    const rowStart = row * width;
    let lineStart = -1; // column where the current line starts; -1 without a line
    for (let column = 0; column <= width; column++) {
      // Pixels outside the bounding box are background.
      const above = row > 0 && column < width ? pixels[rowStart - width + column] : 0;
      const below = row < height && column < width ? pixels[rowStart + column] : 0;
      const isEdge = above !== below;
      if (isEdge && lineStart < 0) lineStart = column;
      if (!isEdge && lineStart >= 0) {
        addLine(lineStart, row, column, row);
        lineStart = -1;
      }
    }
  }
}

function addVerticalEdges({ width, height, pixels }, addLine) {
  // Still row by row, as the pixels lie in memory: one open line for each column.
  const lineStarts = new Int32Array(width + 1).fill(-1);
  for (let row = 0; row <= height; row++) {
    for (let column = 0; column <= width; column++) {
      const index = row * width + column;
      const before = row < height && column > 0 ? pixels[index - 1] : 0;
      const after = row < height && column < width ? pixels[index] : 0;
      const isEdge = before !== after;
      if (isEdge && lineStarts[column] < 0) lineStarts[column] = row;
      if (!isEdge && lineStarts[column] >= 0) {
        addLine(column, lineStarts[column], column, row);
        lineStarts[column] = -1;
      }
    }
  }
}
