/** Writes NumPy archives (npz). Used by exports.js. */

import { joinBytes } from "./png.js";
import { makeZip } from "./zip.js";

const ALIGNMENT = 64; // of the data in an array file, bytes

/**
 * @param {{id: number, name: string, mask: Uint8Array}[]} objects
 * @param {{width: number, height: number}} imageSize
 * @returns {Promise<Uint8Array>} one bool mask per object ID, and `names` [n 2]
 */
export function makeNumpyArchive(objects, { width, height }) {
  const files = {};
  for (const { id, mask } of objects) {
    files[`${id}.npy`] = makeArrayFile("|b1", [height, width], mask);
  }
  const texts = objects.flatMap(({ id, name }) => [String(id), name]);
  const { data, length } = encodeTexts(texts);
  files["names.npy"] = makeArrayFile(`<U${length}`, [objects.length, 2], data);
  return makeZip(files);
}

/** Source: format version 1.0 of numpy.lib.format. */
function makeArrayFile(type, shape, data) {
  const header =
    `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const prefixLength = 10;
  const length = Math.ceil((prefixLength + header.length + 1) / ALIGNMENT) * ALIGNMENT;
  const padded = `${header.padEnd(length - prefixLength - 1)}\n`;
  const headerLength = padded.length;
  return joinBytes([
    Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]),
    Uint8Array.from([headerLength & 255, headerLength >> 8]),
    new TextEncoder().encode(padded), data,
  ]);
}

/** Encodes texts as 32-bit code points, padded with zeros to one length. */
function encodeTexts(texts) {
  const codes = texts.map((text) => Array.from(text, (letter) => letter.codePointAt(0)));
  const length = Math.max(1, ...codes.map((text) => text.length));
  const points = new Uint32Array(texts.length * length);
  codes.forEach((text, index) => points.set(text, index * length));
  return { data: new Uint8Array(points.buffer), length };
}
