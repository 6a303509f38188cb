/** Reads and writes PNG files of whole numbers, which a canvas cannot: gray values and
 * palette entries, 16 bits. Used by exports.js and session_actions.js. */

import { compress, computeCrc, decompress } from "./compression.js";
import { LocalError } from "./local_error.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const [GRAY, PALETTE] = [0, 3]; // color types
const UP_FILTER = 2; // each byte is stored as the difference to the one above
const EXPECTED = "expected a PNG of gray values or with a palette, not interlaced";

/**
 * Encodes gray values.
 * @param {Uint8Array|Uint16Array} values height * width values, row by row
 * @param {{width: number, height: number}} imageSize
 * @returns {Promise<Uint8Array>} the file
 */
export async function encodeGrayPng(values, { width, height }) {
  const numBytes = values.BYTES_PER_ELEMENT;
  const rowLength = width * numBytes;
  const lines = new Uint8Array((rowLength + 1) * height);
  const byteAt = (row, offset) => {
    const value = row < 0 ? 0 : values[row * width + Math.floor(offset / numBytes)];
    // The high byte comes first.
    return numBytes === 2 && offset % 2 === 0 ? value >> 8 : value & 255;
  };
  for (let row = 0; row < height; row++) {
    const start = row * (rowLength + 1);
    lines[start] = UP_FILTER;
    for (let offset = 0; offset < rowLength; offset++) {
      lines[start + 1 + offset] = byteAt(row, offset) - byteAt(row - 1, offset);
    }
  }
  const header = new Uint8Array(13);
  const headerView = new DataView(header.buffer);
  headerView.setUint32(0, width);
  headerView.setUint32(4, height);
  header.set([8 * numBytes, GRAY], 8);
  return joinBytes([
    Uint8Array.from(SIGNATURE), makeChunk("IHDR", header),
    makeChunk("IDAT", await compress(lines, "deflate")),
    makeChunk("IEND", new Uint8Array()),
  ]);
}

/**
 * Decodes gray values or palette entries.
 * @param {Uint8Array} data bytes of the file
 * @returns {Promise<{width: number, height: number, values: Uint16Array}>}
 * @throws {LocalError} another kind of file, or a damaged one
 */
export async function decodeValuesPng(data) {
  if (!SIGNATURE.every((byte, index) => data[index] === byte)) {
    throw new LocalError(`The file is not a PNG; ${EXPECTED}.`, 415);
  }
  try {
    const { header, imageData } = readChunks(data);
    const view = new DataView(header.buffer, header.byteOffset);
    const [width, height] = [view.getUint32(0), view.getUint32(4)];
    const [depth, colorType, , , interlace] = header.subarray(8);
    if (![GRAY, PALETTE].includes(colorType) || interlace) {
      throw new LocalError(`This PNG has colors or is interlaced; ${EXPECTED}.`, 415);
    }
    const lines = await decompress(imageData, "deflate");
    return { width, height, values: unpackValues(lines, width, height, depth) };
  } catch (error) {
    if (error instanceof LocalError) throw error;
    throw new LocalError(`The PNG is damaged; ${EXPECTED}.`, 415);
  }
}

function makeChunk(type, body) {
  const chunk = new Uint8Array(body.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length);
  chunk.set(new TextEncoder().encode(type), 4);
  chunk.set(body, 8);
  view.setUint32(body.length + 8, computeCrc(chunk.subarray(4, body.length + 8)));
  return chunk;
}

/** Returns the header and the joined image data of a PNG. */
function readChunks(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const imageData = [];
  let header = null;
  for (let start = SIGNATURE.length; start < data.length;) {
    const length = view.getUint32(start);
    const type = String.fromCharCode(...data.subarray(start + 4, start + 8));
    const body = data.subarray(start + 8, start + 8 + length);
    if (type === "IHDR") header = body;
    if (type === "IDAT") imageData.push(body);
    if (type === "IEND") break;
    start += length + 12;
  }
  return { header, imageData: joinBytes(imageData) };
}

function unpackValues(lines, width, height, depth) {
  const rowLength = Math.ceil((width * depth) / 8);
  if (lines.length !== (rowLength + 1) * height) throw new Error("another size");
  const pixelLength = Math.max(1, depth / 8);
  const values = new Uint16Array(width * height);
  let previousRow = new Uint8Array(rowLength);
  for (let row = 0; row < height; row++) {
    const start = row * (rowLength + 1);
    const bytes = lines.subarray(start + 1, start + 1 + rowLength);
    unfilterRow(bytes, previousRow, lines[start], pixelLength);
    for (let column = 0; column < width; column++) {
      values[row * width + column] = valueAt(bytes, column, depth);
    }
    previousRow = bytes;
  }
  return values;
}

function valueAt(bytes, column, depth) {
  if (depth === 16) return (bytes[2 * column] << 8) | bytes[2 * column + 1];
  const firstBit = column * depth;
  const shift = 8 - depth - (firstBit % 8);
  return (bytes[firstBit >> 3] >> shift) & ((1 << depth) - 1);
}

/** Reverts the filter of a row in place. Source: PNG specification, section 9. */
function unfilterRow(bytes, above, filter, pixelLength) {
  for (let index = 0; index < bytes.length; index++) {
    const left = index < pixelLength ? 0 : bytes[index - pixelLength];
    const upperLeft = index < pixelLength ? 0 : above[index - pixelLength];
    const up = above[index];
    const predictions = [0, left, up, (left + up) >> 1, paeth(left, up, upperLeft)];
    bytes[index] += predictions[filter];
  }
}

function paeth(left, up, upperLeft) {
  const sum = left + up - upperLeft;
  const distances = [left, up, upperLeft].map((value) => Math.abs(sum - value));
  const smallest = Math.min(...distances);
  return [left, up, upperLeft][distances.indexOf(smallest)];
}

/**
 * @param {Uint8Array[]} arrays
 * @returns {Uint8Array}
 */
export function joinBytes(arrays) {
  const joined = new Uint8Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const array of arrays) {
    joined.set(array, start);
    start += array.length;
  }
  return joined;
}
