/** Predicts the mask of an object after a click: zoom, network, growth and paste, with
 * the arithmetic of `mst_jax.Predictor`. Used by store/session_actions.js. */

import {
  EMPTY, MIN_SLOTS, NEGATIVE, POSITIVE, makeEmptySlots,
} from "./network.js";
import { cropRegion, pasteRegion } from "./resample.js";
import {
  MASK_THRESHOLD, NO_ROI, clickInCrop, growRoi, nextRoi, wholeBox,
} from "./zoom.js";

/**
 * @typedef {object} PixelImage a decoded image
 * @property {Uint8ClampedArray} rgba four bytes for each pixel, row by row
 * @property {number} width
 * @property {number} height
 */

/**
 * @typedef {object} RoiPrediction what the network has returned for one region
 * @property {Float32Array} prob side * side probabilities
 * @property {number[]} roi top, bottom, left, right, inclusive
 */

export class ClickEngine {
  /**
   * @param {{run: Function}} network see `Network.run`
   * @param {object} zoom `ZoomOptions` of Python: size, min_side, flip_tta, drop_outside
   *   and max_growths
   */
  constructor(network, zoom) {
    Object.assign(this, { network, zoom });
  }

  /**
   * Runs the network, again where the region of interest cuts the mask.
   * @param {PixelImage} image
   * @param {{x: number, y: number, positive: boolean}[]} clicks all clicks on the object
   * @param {MaskState} state before the last click, see zoom.js
   * @returns {Promise<RoiPrediction>}
   */
  async predict(image, clicks, state) {
    let roi = nextRoi(state, clicks, image, this.zoom.min_side);
    let prob = await this.#predictIn(roi, image, clicks, state);
    for (let growth = 0; growth < this.zoom.max_growths; growth++) {
      const grownRoi = growRoi(roi, prob, image);
      if (grownRoi.every((end, index) => end === roi[index])) break;
      roi = grownRoi;
      prob = await this.#predictIn(roi, image, clicks, state);
    }
    return { prob, roi };
  }

  async #predictIn(roi, image, clicks, state) {
    const { size, flip_tta: hasFlip } = this.zoom;
    const crop = cropRegion(image.rgba, state.prob, image, roi, size);
    const slots = this.#fillSlots(clicks, roi);
    const examples = [{ image: crop.image, prevMask: crop.prob, clicks: slots }];
    if (hasFlip) examples.push(flipExample(examples[0], size));
    const [logits, flippedLogits] = await this.network.run(examples, size);
    return sigmoid(hasFlip ? averageFlipped(logits, flippedLogits, size) : logits);
  }

  /** Returns the clicks in pixels of the crop, in a fixed number of slots. */
  #fillSlots(clicks, roi) {
    const { size, drop_outside: dropsOutside } = this.zoom;
    let numSlots = MIN_SLOTS;
    while (numSlots < clicks.length) numSlots *= 2;
    const slots = makeEmptySlots(numSlots);
    clicks.forEach((click, slot) => {
      const yx = clickInCrop(click, roi, size);
      const isInside = yx.every((position) => position >= 0 && position < size);
      const isHidden = dropsOutside && !isInside;
      const label = click.positive ? POSITIVE : NEGATIVE;
      slots.set([...yx, isHidden ? EMPTY : label], slot * 3);
    });
    return slots;
  }
}

/**
 * @param {RoiPrediction} prediction
 * @param {{width: number, height: number}} imageSize
 * @returns {MaskState}
 */
export function pastePrediction({ prob: cropProb, roi }, imageSize) {
  const prob = pasteRegion(cropProb, roi, imageSize);
  const mask = Uint8Array.from(prob, (value) => (value > MASK_THRESHOLD ? 1 : 0));
  return { prob, mask, roi };
}

/** @returns {MaskState} of a mask from elsewhere, as if predicted in the whole image */
export function stateOfMask(mask, imageSize) {
  return { prob: Float32Array.from(mask), mask, roi: wholeBox(imageSize) };
}

/** @returns {MaskState} before the first click */
export function emptyState({ width, height }) {
  const numPixels = width * height;
  return {
    prob: new Float32Array(numPixels), mask: new Uint8Array(numPixels), roi: NO_ROI,
  };
}

/** Mirrors an example horizontally: column c of w becomes w - 1 - c. */
function flipExample({ image, prevMask, clicks }, size) {
  // Of each row, column and label, the column.
  const flippedClicks = clicks.map((value, index) =>
    (index % 3 === 1 ? Math.fround(Math.fround(size - value) - 1) : value));
  return {
    image: flipColumns(image, size, 3), prevMask: flipColumns(prevMask, size, 1),
    clicks: flippedClicks,
  };
}

function flipColumns(values, size, numChannels) {
  const flipped = new Float32Array(values.length);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const source = (row * size + column) * numChannels;
      const target = (row * size + size - 1 - column) * numChannels;
      for (let channel = 0; channel < numChannels; channel++) {
        flipped[target + channel] = values[source + channel];
      }
    }
  }
  return flipped;
}

function averageFlipped(logits, flippedLogits, size) {
  const unflipped = flipColumns(flippedLogits, size, 1);
  return logits.map((logit, index) => Math.fround(logit + unflipped[index]) / 2);
}

function sigmoid(logits) {
  return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
}
