/** Where the picture lies on the canvas: `scale` screen pixels for each of its own. */

const MOST = 40; // screen pixels a picture pixel
const MARGIN = 24; // screen pixels around a fitted picture
const KEPT = 60; // screen pixels of the picture that never leave the canvas

export class Camera {
  scale = 1;
  x = 0;
  y = 0;
  /** Sizes in pixels: of the canvas, of the picture. */
  canvas = { width: 1, height: 1 };
  picture = { width: 1, height: 1 };
  /** The picture is shown whole, also when the canvas changes its size. */
  fitted = true;

  resize(canvas) {
    this.canvas = canvas;
    if (this.fitted) this.fit();
    else this.#keep();
  }

  open(picture) {
    this.picture = picture;
    this.fit();
  }

  fit() {
    const { canvas, picture } = this;
    const wide = (canvas.width - 2 * MARGIN) / picture.width;
    const high = (canvas.height - 2 * MARGIN) / picture.height;
    this.scale = Math.max(0.01, Math.min(wide, high, 8));
    this.#centre();
    this.fitted = true;
  }

  /** Changes the scale by a factor; the point (sx, sy) of the canvas stays put. */
  zoom(factor, sx = this.canvas.width / 2, sy = this.canvas.height / 2) {
    const least = 0.3 * Math.min(1, this.#fittingScale());
    const scale = Math.min(MOST, Math.max(least, this.scale * factor));
    const { x, y } = this.toPicture(sx, sy);
    this.scale = scale;
    this.x = sx - x * scale;
    this.y = sy - y * scale;
    this.fitted = false;
    this.#keep();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.#keep();
  }

  /** Canvas to picture; the upper left corner of the first pixel is (0, 0). */
  toPicture(sx, sy) {
    return { x: (sx - this.x) / this.scale, y: (sy - this.y) / this.scale };
  }

  toCanvas(x, y) {
    return { x: x * this.scale + this.x, y: y * this.scale + this.y };
  }

  #fittingScale() {
    const { canvas, picture } = this;
    return Math.min(canvas.width / picture.width, canvas.height / picture.height);
  }

  #centre() {
    this.x = (this.canvas.width - this.picture.width * this.scale) / 2;
    this.y = (this.canvas.height - this.picture.height * this.scale) / 2;
  }

  #keep() {
    const { canvas, picture, scale } = this;
    const within = (at, size, room) =>
      Math.min(room - KEPT, Math.max(KEPT - size * scale, at));
    this.x = within(this.x, picture.width, canvas.width);
    this.y = within(this.y, picture.height, canvas.height);
  }
}
