/** What the page shows at present, and the one way to have it drawn anew. */

import { Camera } from "./camera.js";

export const page = {
  /** Answer to /api/about. */
  about: { ready: true, has_tokens: false },
  camera: new Camera(),
  /** The picture that is worked on; null before the first. */
  work: null,
  /** "click", "brush", "eraser" or "hand". */
  tool: "click",
  /** What a plain click means. */
  positive: true,
  /** Masks are hidden while a key is held. */
  bare: false,
  /** The brush stroke that is being made. */
  stroke: null,
  /** Where the pointer is, in pixels of the picture, or null. */
  pointer: null,
  /** The click that the pointer is on, or null. */
  hovered: null,
  /** {probability, tokens} of the current object, as far as they are shown. */
  extras: {},
  /** Milliseconds from the last click to its mask, and those of the model. */
  latency: null,
  /** The name of a picture that is being opened, or null. */
  opening: null,
};

let paint = null;
let isAsked = false;

/** Names the function that draws the page. */
export function drawWith(painter) {
  paint = painter;
  changed();
}

/** Something changed: the page is drawn anew with the next frame. */
export function changed() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    paint();
  });
}
