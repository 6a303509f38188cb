/** Chooses the region of interest (ROI) that the network sees next, with the arithmetic
 * of mst_jax/interaction/zoom.py and geometry/boxes.py. Used by click_engine.js.
 *
 * A box is [top, bottom, left, right] in image pixels, ends inclusive. */

export const MASK_THRESHOLD = 0.49; // of the probability, for the mask
const BOX_THRESHOLD = 0.5; // of the probability, for the box
const EXPANSION_RATIO = [7, 5]; // side of the ROI divided by the side of the mask's box
const MIN_ROI_OVERLAP = 0.5; // with the proposed ROI, for the current one to stay
const GROWTH_RATIO = 0.5; // distance by which a side moves divided by the ROI's side
const MIN_CUT_LENGTH = Math.fround(0.01); // of the mask along a side, for it to move
export const NO_ROI = [-1, -1, -1, -1];

/**
 * @typedef {object} MaskState the last prediction of an object, pasted into the image
 * @property {Float32Array} prob height * width probabilities, row by row
 * @property {Uint8Array} mask 1 where the probability is above `MASK_THRESHOLD`
 * @property {number[]} roi region of interest of the prediction; `NO_ROI` before one
 */

/**
 * Chooses the region of interest of the next prediction.
 *
 * The current one stays unless a positive click lies outside it or it overlaps little
 * with the expanded box of the mask and the positive clicks.
 * @param {MaskState} state before the last click
 * @param {{x: number, y: number, positive: boolean}[]} clicks including the last one
 * @param {{width: number, height: number}} imageSize
 * @param {number} minSide minimum height and width of a region in pixels
 * @returns {number[]}
 */
export function nextRoi({ prob, roi }, clicks, imageSize, minSide) {
  const wholeImage = wholeBox(imageSize);
  if (roi[0] < 0) return wholeImage;
  // 1. Propose the expanded box of the mask and the positive clicks.
  const positiveClicks = clicks.filter(({ positive }) => positive);
  const maskBox = boxOfMask(prob, imageSize);
  const proposal = maskBox === null ? wholeImage
    : clipBox(expandBox(coverClicks(maskBox, positiveClicks), minSide), imageSize);
  // 2. Keep the current region while it fits: a stable crop gives stable predictions.
  const stays = positiveClicks.every((click) => containsClick(roi, click)) &&
    overlapOf(roi, proposal) >= MIN_ROI_OVERLAP;
  return stays ? roi : proposal;
}

/**
 * Moves the sides of a region that cut the predicted mask outward.
 * @param {number[]} roi
 * @param {Float32Array} cropProb side * side probabilities in the region
 * @param {{width: number, height: number}} imageSize
 * @returns {number[]} equal to `roi` if no side cuts the mask
 */
export function growRoi(roi, cropProb, imageSize) {
  const side = Math.sqrt(cropProb.length);
  const last = side - 1;
  // 1. Mask along the four sides, in the order of the box.
  const indexOnSide = [
    (step) => step, (step) => last * side + step,
    (step) => step * side, (step) => step * side + last,
  ];
  const isCut = indexOnSide.map((indexOf) => {
    let numMaskPixels = 0;
    for (let step = 0; step < side; step++) {
      if (cropProb[indexOf(step)] > MASK_THRESHOLD) numMaskPixels += 1;
    }
    return Math.fround(numMaskPixels / side) >= MIN_CUT_LENGTH;
  });
  // 2. Top and left move to smaller coordinates, bottom and right to larger ones.
  const distances = [0, 2].flatMap((low) => {
    const distance = Math.ceil(GROWTH_RATIO * (roi[low + 1] - roi[low] + 1));
    return [-distance, distance];
  });
  const grown = clipBox(roi.map((end, index) => end + distances[index]), imageSize);
  return roi.map((end, index) => (isCut[index] ? grown[index] : end));
}

/**
 * Converts a click from the image to the square crop of a region, in 32-bit arithmetic.
 * @param {{x: number, y: number}} click image pixels
 * @param {number[]} roi
 * @param {number} side of the crop in pixels
 * @returns {[number, number]} row and column in pixels of the crop
 */
export function clickInCrop({ x, y }, [top, bottom, left, right], side) {
  const convert = (position, first, last) => {
    const distance = Math.fround(side * Math.fround(Math.fround(position) - first));
    return Math.fround(distance / (last - first + 1));
  };
  return [convert(y, top, bottom), convert(x, left, right)];
}

/** @returns {number[]} box of an image */
export function wholeBox({ width, height }) {
  return [0, height - 1, 0, width - 1];
}

/** Returns the smallest box around the mask; null without a mask. */
function boxOfMask(prob, { width, height }) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let row = 0, index = 0; row < height; row++) {
    for (let column = 0; column < width; column++, index++) {
      if (!(prob[index] > BOX_THRESHOLD)) continue;
      if (row < top) top = row;
      bottom = row;
      if (column < left) left = column;
      if (column > right) right = column;
    }
  }
  return bottom < 0 ? null : [top, bottom, left, right];
}

function coverClicks(box, clicks) {
  const rows = clicks.map(({ y }) => Math.floor(y));
  const columns = clicks.map(({ x }) => Math.floor(x));
  const [top, bottom, left, right] = box;
  return [
    Math.min(top, ...rows), Math.max(bottom, ...rows),
    Math.min(left, ...columns), Math.max(right, ...columns),
  ];
}

/** Scales a box around its center. Whole numbers only, so that a half is exact. */
function expandBox(box, minSide) {
  const [numerator, denominator] = EXPANSION_RATIO;
  return [0, 2].flatMap((index) => {
    const [low, high] = [box[index], box[index + 1]];
    const length = Math.max(numerator * (high - low + 1), denominator * minSide);
    const doubleCenter = denominator * (low + high);
    return [doubleCenter - length, doubleCenter + length].map(
      (end) => divideHalfEven(end, 2 * denominator));
  });
}

/** Divides whole numbers and rounds to the nearest, halves to even. */
function divideHalfEven(dividend, divisor) {
  const quotient = Math.floor(dividend / divisor);
  const doubleRemainder = 2 * (dividend - quotient * divisor);
  const isOddHalf = doubleRemainder === divisor && quotient % 2 !== 0;
  return quotient + (doubleRemainder > divisor || isOddHalf ? 1 : 0);
}

function clipBox(box, { width, height }) {
  const lasts = [height - 1, height - 1, width - 1, width - 1];
  return box.map((end, index) => Math.min(Math.max(end, 0), lasts[index]));
}

/** The last row and column of the box count as outside, as in the published zoom. */
function containsClick([top, bottom, left, right], { x, y }) {
  return y >= top && y < bottom && x >= left && x < right;
}

/** Intersection over hull of the rows times the same of the columns. */
function overlapOf(first, second) {
  let [shared, hull] = [1, 1];
  for (const low of [0, 2]) {
    const [starts, stops] = [low, low + 1].map((index) => [first[index], second[index]]);
    shared *= Math.max(Math.min(...stops) - Math.max(...starts) + 1, 0);
    hull *= Math.max(Math.max(...stops) - Math.min(...starts) + 1, 1);
  }
  return Math.fround(Math.fround(shared) / Math.fround(hull));
}
