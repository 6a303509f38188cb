/** Writes zip archives. Used by exports.js. */

import { compress, computeCrc } from "./compression.js";
import { joinBytes } from "./png.js";

const [VERSION, DEFLATED, UTF8_NAMES] = [20, 8, 0x800];
const DATE = (1 << 5) | 1; // the first day of the format, 1980-01-01: no clock
const LOCAL_SIGNATURE = 0x04034b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;

/**
 * @param {Object<string, Uint8Array>} files content by name
 * @returns {Promise<Uint8Array>} the archive
 */
export async function makeZip(files) {
  const [pieces, directory] = [[], []];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const encodedName = new TextEncoder().encode(name);
    const data = await compress(content, "deflate-raw");
    // The fields that both headers of a file share.
    const fields = [
      [2, VERSION], [2, UTF8_NAMES], [2, DEFLATED], [2, 0], [2, DATE],
      [4, computeCrc(content)], [4, data.length], [4, content.length],
      [2, encodedName.length], [2, 0],
    ];
    const localHeader = packFields([[4, LOCAL_SIGNATURE], ...fields]);
    directory.push(
      packFields([[4, CENTRAL_SIGNATURE], [2, VERSION], ...fields,
        [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]),
      encodedName);
    pieces.push(localHeader, encodedName, data);
    offset += localHeader.length + encodedName.length + data.length;
  }
  const directoryBytes = joinBytes(directory);
  const numFiles = Object.keys(files).length;
  const end = packFields([
    [4, END_SIGNATURE], [2, 0], [2, 0], [2, numFiles], [2, numFiles],
    [4, directoryBytes.length], [4, offset], [2, 0],
  ]);
  return joinBytes([...pieces, directoryBytes, end]);
}

/** Packs pairs of size in bytes and value, low byte first. */
function packFields(fields) {
  const bytes = fields.flatMap(([size, value]) =>
    Array.from({ length: size }, (_, index) => Math.floor(value / 256 ** index) & 255));
  return Uint8Array.from(bytes);
}
