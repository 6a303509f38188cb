/** Decodes image files with the browser's decoders. Used by the session store. */

import { LocalError } from "./local_error.js";

const MAX_PIXELS = 48_000_000; // as the annotation server
const THUMBNAIL_SIDE = 192; // pixels

/**
 * Decodes an image to RGB values as they are stored, rotated as its EXIF data say;
 * transparency is composed on white.
 * @param {Blob} file
 * @returns {Promise<PixelImage>} see click_engine.js
 * @throws {LocalError} the browser cannot read the file, or it is too large
 */
export async function decodeImage(file) {
  const bitmap = await readBitmap(file);
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    throw new LocalError(
      `The image has ${height} rows and ${width} columns, the maximum is ` +
      `${MAX_PIXELS / 1e6} megapixels; make it smaller.`, 413);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", {
    willReadFrequently: true,
  });
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { rgba: context.getImageData(0, 0, width, height).data, width, height };
}

/**
 * @param {Blob} file
 * @returns {Promise<Blob>} small JPEG of an image that `decodeImage` can read
 */
export async function makeThumbnail(file) {
  const bitmap = await readBitmap(file);
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) =>
    Math.max(1, Math.round(scale * side)));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 });
}

async function readBitmap(file) {
  try {
    // As the pixels are stored: the network was trained on them.
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new LocalError(
      "The browser cannot read this file as an image; open a JPEG, PNG or WebP file.",
      415);
  }
}
