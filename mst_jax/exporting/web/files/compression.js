/** Compresses bytes with the browser's own code. Used by the store, png.js and zip.js. */

/**
 * @param {BufferSource} bytes
 * @param {"deflate"|"deflate-raw"} format zlib data, or without header and checksum
 * @returns {Promise<Uint8Array>}
 */
export function compress(bytes, format) {
  return transform(bytes, new CompressionStream(format));
}

/**
 * Reverts `compress`.
 * @param {BufferSource} bytes
 * @param {"deflate"|"deflate-raw"} format
 * @returns {Promise<Uint8Array>}
 */
export function decompress(bytes, format) {
  return transform(bytes, new DecompressionStream(format));
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value;
});

/**
 * @param {Uint8Array} bytes
 * @returns {number} the checksum of PNG and zip files, CRC-32
 */
export function computeCrc(bytes) {
  let crc = 0xffffffff;
  for (let index = 0; index < bytes.length; index++) {
    crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[index]) & 255];
  }
  return (crc ^ 0xffffffff) >>> 0;
}

async function transform(bytes, stream) {
  const transformed = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(transformed).arrayBuffer());
}
