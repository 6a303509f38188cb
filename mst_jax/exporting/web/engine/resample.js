/** Crops a region of interest and pastes a prediction back: bilinear, corners aligned,
 * in the 32-bit arithmetic of mst_jax/geometry/boxes.py. Used by click_engine.js. */

/**
 * Resizes a region of an image and of a probability map to a square.
 * @param {Uint8ClampedArray} rgba pixels of the image, four bytes each
 * @param {Float32Array} prob probability map of the image
 * @param {{width: number, height: number}} imageSize
 * @param {number[]} roi top, bottom, left, right, inclusive
 * @param {number} side of the square in pixels
 * @returns {{image: Float32Array, prob: Float32Array}} side * side * 3 values, 0 to 1,
 *   and side * side probabilities
 */
export function cropRegion(rgba, prob, { width, height }, roi, side) {
  const [top, bottom, left, right] = roi;
  const rows = evenPositions(side - 1, bottom - top, side, top, height - 1);
  const columns = evenPositions(side - 1, right - left, side, left, width - 1);
  const image = new Float32Array(side * side * 3);
  const cropProb = new Float32Array(side * side);
  // One row of the image, interpolated between two rows, as 4 channels per column.
  const line = new Float32Array(width * 4);
  for (let row = 0; row < side; row++) {
    interpolateRow(line, rgba, prob, width, [left, columns.upper[side - 1]], {
      lower: rows.lower[row] * width, upper: rows.upper[row] * width,
      weight: rows.weight[row],
    });
    for (let column = 0; column < side; column++) {
      const lower = columns.lower[column] * 4;
      const upper = columns.upper[column] * 4;
      const weight = columns.weight[column];
      const index = row * side + column;
      for (let channel = 0; channel < 3; channel++) {
        image[index * 3 + channel] =
          interpolate(line[lower + channel], line[upper + channel], weight);
      }
      cropProb[index] = interpolate(line[lower + 3], line[upper + 3], weight);
    }
  }
  return { image, prob: cropProb };
}

/**
 * Resizes a square map into a region of a map of zeros.
 * @param {Float32Array} cropProb side * side probabilities
 * @param {number[]} roi top, bottom, left, right, inclusive
 * @param {{width: number, height: number}} imageSize
 * @returns {Float32Array} height * width probabilities
 */
export function pasteRegion(cropProb, roi, { width, height }) {
  const side = Math.sqrt(cropProb.length);
  const [top, bottom, left, right] = roi;
  const prob = new Float32Array(width * height);
  const numRows = bottom - top + 1;
  const numColumns = right - left + 1;
  const rows = evenPositions(bottom - top, side - 1, numRows, 0, side - 1);
  const columns = evenPositions(right - left, side - 1, numColumns, 0, side - 1);
  const line = new Float32Array(side);
  for (let row = 0; row < numRows; row++) {
    const lowerStart = rows.lower[row] * side;
    const upperStart = rows.upper[row] * side;
    for (let column = 0; column < side; column++) {
      line[column] = interpolate(
        cropProb[lowerStart + column], cropProb[upperStart + column], rows.weight[row]);
    }
    const start = (top + row) * width + left;
    for (let column = 0; column < numColumns; column++) {
      prob[start + column] = interpolate(
        line[columns.lower[column]], line[columns.upper[column]],
        columns.weight[column]);
    }
  }
  return prob;
}

/** Interpolates the needed columns of one row of image and probability map. */
function interpolateRow(line, rgba, prob, width, [first, last], rows) {
  const { lower, upper, weight } = rows;
  for (let column = first; column <= last; column++) {
    const lowerIndex = (lower + column) * 4;
    const upperIndex = (upper + column) * 4;
    for (let channel = 0; channel < 3; channel++) {
      line[column * 4 + channel] = interpolate(
        Math.fround(rgba[lowerIndex + channel] / 255),
        Math.fround(rgba[upperIndex + channel] / 255), weight);
    }
    line[column * 4 + 3] = interpolate(prob[lower + column], prob[upper + column], weight);
  }
}

/** Interpolates between two values, rounding each step to 32 bits. */
function interpolate(lower, upper, weight) {
  return Math.fround(
    lower + Math.fround(weight * Math.fround(upper - lower)));
}

/**
 * Computes positions from `offset` to `offset + length` in equal steps.
 * @returns {{lower: Int32Array, upper: Int32Array, weight: Float32Array}} the two
 *   indices around each position, at most `last`, and the weight of the upper one
 */
function evenPositions(numSteps, length, count, offset, last) {
  const step = Math.fround(length / Math.max(numSteps, 1));
  const lower = new Int32Array(count);
  const upper = new Int32Array(count);
  const weight = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    const position = Math.fround(index * step);
    const whole = Math.floor(position);
    lower[index] = Math.min(offset + whole, last);
    upper[index] = Math.min(offset + whole + 1, last);
    weight[index] = Math.fround(position - whole);
  }
  return { lower, upper, weight };
}
