/** Masks as COCO's run lengths: down the columns, background first. Used by the store,
 * the responses and the exports. */

/**
 * @param {Uint8Array} mask height * width values row by row, 1 = object
 * @param {{width: number, height: number}} imageSize
 * @returns {number[]} lengths of the runs of equal pixels
 */
export function encodeRunLengths(mask, { width, height }) {
  const counts = [];
  let [value, length] = [0, 0];
  for (let column = 0; column < width; column++) {
    for (let index = column; index < width * height; index += width) {
      if (mask[index] !== value) {
        counts.push(length);
        [value, length] = [mask[index], 0];
      }
      length += 1;
    }
  }
  counts.push(length);
  return counts;
}

/**
 * @param {ArrayLike<number>} counts lengths of the runs of equal pixels
 * @param {{width: number, height: number}} imageSize
 * @returns {Uint8Array} height * width values row by row, 1 = object
 */
export function decodeRunLengths(counts, { width, height }) {
  const mask = new Uint8Array(width * height);
  let [row, column, value] = [0, 0, 0];
  for (const length of counts) {
    for (let remaining = length; remaining > 0; remaining--) {
      mask[row * width + column] = value;
      if (++row === height) [row, column] = [0, column + 1];
    }
    value = 1 - value;
  }
  return mask;
}

/**
 * Compresses run lengths to the string of COCO files, as pycocotools does.
 * @param {number[]} counts
 * @returns {string}
 */
export function compressRunLengths(counts) {
  let text = "";
  counts.forEach((count, index) => {
    // From the fourth run on, the difference to the last run of the same value.
    let rest = index > 2 ? count - counts[index - 2] : count;
    for (let hasMore = true; hasMore;) {
      // Five bits a character; the fifth one is the sign, the sixth one: more follow.
      const bits = rest & 31;
      rest >>= 5;
      hasMore = bits & 16 ? rest !== -1 : rest !== 0;
      text += String.fromCharCode(48 + bits + (hasMore ? 32 : 0));
    }
  });
  return text;
}
