/**
 * Maps between image pixels and canvas pixels: zoom, pan and fit. Owned by state.js;
 * used by render.js for drawing and by the pointer modules for positions.
 *
 * Canvas coordinates are CSS pixels from the upper left corner of the canvas. Image
 * coordinates are image pixels from the upper left corner of the first pixel.
 */

const MAX_SCALE = 40; // CSS pixels per image pixel
const MAX_FIT_SCALE = 8; // a tiny image is not blown up further by fitting it
const FIT_MARGIN = 24; // CSS pixels around a fitted image
const MIN_VISIBLE = 60; // CSS pixels of the image that never leave the canvas

export class Viewport {
  /** CSS pixels per image pixel. */
  scale = 1;
  /** Canvas position of the upper left corner of the image, CSS pixels. */
  offsetX = 0;
  offsetY = 0;
  /** Size of the canvas in CSS pixels. */
  canvasSize = { width: 1, height: 1 };
  /** Size of the image in image pixels. */
  imageSize = { width: 1, height: 1 };
  /** Whether the whole image stays visible when the canvas is resized. */
  isFitted = true;

  /** @param {{width: number, height: number}} canvasSize CSS pixels */
  setCanvasSize(canvasSize) {
    this.canvasSize = canvasSize;
    if (this.isFitted) this.fitImage();
    else this.#keepImageVisible();
  }

  /**
   * Starts with a new image, fitted.
   * @param {{width: number, height: number}} imageSize image pixels
   */
  setImageSize(imageSize) {
    this.imageSize = imageSize;
    this.fitImage();
  }

  /** Shows the whole image, centered. */
  fitImage() {
    const { canvasSize, imageSize } = this;
    const horizontalScale = (canvasSize.width - 2 * FIT_MARGIN) / imageSize.width;
    const verticalScale = (canvasSize.height - 2 * FIT_MARGIN) / imageSize.height;
    const fitScale = Math.min(horizontalScale, verticalScale, MAX_FIT_SCALE);
    // A canvas smaller than its margins would make the scale negative.
    this.scale = Math.max(0.01, fitScale);
    this.#centerImage();
    this.isFitted = true;
  }

  /**
   * Multiplies the scale; the given canvas position stays over the same image pixel.
   * @param {number} factor above 1 zooms in
   * @param {number} [canvasX] CSS pixels, default the center of the canvas
   * @param {number} [canvasY]
   */
  zoomBy(
    factor, canvasX = this.canvasSize.width / 2, canvasY = this.canvasSize.height / 2,
  ) {
    // 1. Limit the scale: never far below that of the whole image.
    const minScale = 0.3 * Math.min(1, this.#wholeImageScale());
    const scale = Math.min(MAX_SCALE, Math.max(minScale, this.scale * factor));
    // 2. Move the image so that the fixed point stays in place.
    const fixedPoint = this.toImage(canvasX, canvasY);
    this.scale = scale;
    this.offsetX = canvasX - fixedPoint.x * scale;
    this.offsetY = canvasY - fixedPoint.y * scale;
    this.isFitted = false;
    this.#keepImageVisible();
  }

  /**
   * Moves the image.
   * @param {number} deltaX CSS pixels to the right
   * @param {number} deltaY CSS pixels down
   */
  panBy(deltaX, deltaY) {
    this.offsetX += deltaX;
    this.offsetY += deltaY;
    this.isFitted = false;
    this.#keepImageVisible();
  }

  /**
   * Moves the image so that a point of it is visible.
   * @param {{x: number, y: number}} point image pixels
   */
  showPoint({ x, y }) {
    const position = this.toCanvas(x, y);
    const { width, height } = this.canvasSize;
    const missing = (value, length) =>
      Math.max(FIT_MARGIN - value, 0) + Math.min(length - FIT_MARGIN - value, 0);
    const deltaX = missing(position.x, width);
    const deltaY = missing(position.y, height);
    if (deltaX || deltaY) this.panBy(deltaX, deltaY);
  }

  /**
   * @param {number} canvasX CSS pixels
   * @param {number} canvasY CSS pixels
   * @returns {{x: number, y: number}} image pixels; may lie outside the image
   */
  toImage(canvasX, canvasY) {
    return {
      x: (canvasX - this.offsetX) / this.scale,
      y: (canvasY - this.offsetY) / this.scale,
    };
  }

  /**
   * @param {number} imageX image pixels
   * @param {number} imageY image pixels
   * @returns {{x: number, y: number}} CSS pixels
   */
  toCanvas(imageX, imageY) {
    return {
      x: imageX * this.scale + this.offsetX,
      y: imageY * this.scale + this.offsetY,
    };
  }

  #wholeImageScale() {
    const { canvasSize, imageSize } = this;
    return Math.min(
      canvasSize.width / imageSize.width, canvasSize.height / imageSize.height,
    );
  }

  #centerImage() {
    const { canvasSize, imageSize, scale } = this;
    this.offsetX = (canvasSize.width - imageSize.width * scale) / 2;
    this.offsetY = (canvasSize.height - imageSize.height * scale) / 2;
  }

  /** Clamps the offsets so that some of the image stays on the canvas. */
  #keepImageVisible() {
    const { canvasSize, imageSize, scale } = this;
    const clampOffset = (offset, imageLength, canvasLength) =>
      Math.min(
        canvasLength - MIN_VISIBLE,
        Math.max(MIN_VISIBLE - imageLength * scale, offset),
      );
    this.offsetX = clampOffset(this.offsetX, imageSize.width, canvasSize.width);
    this.offsetY = clampOffset(this.offsetY, imageSize.height, canvasSize.height);
  }
}
