/** Loads a large file that the page has in parts. The browser keeps the parts, so that
 * the next visit needs no download. Used by network.js. */

/**
 * @typedef {object} FileParts entry of manifest.json
 * @property {boolean} is_gzip whether the joined parts are gzip data
 * @property {{path: string, size: number, sha256: string}[]} parts
 */

export class PartLoader {
  /**
   * @param {URL} baseUrl folder of the page
   * @param {(numBytes: number) => void} onProgress called with the size of each piece
   */
  constructor(baseUrl, onProgress) {
    Object.assign(this, { baseUrl, onProgress });
    this.cacheName = `mst_jax ${baseUrl.pathname}`;
  }

  /**
   * @param {FileParts} file
   * @returns {Promise<Uint8Array>} content of the file
   * @throws {Error} one sentence for the user
   */
  async load({ parts, is_gzip: isGzip }) {
    // Pages without TLS have no such storage; the browser's HTTP cache remains.
    const cache = await globalThis.caches?.open(this.cacheName).catch(() => null);
    const loadedParts = [];
    for (const part of parts) loadedParts.push(await this.#loadPart(part, cache));
    const blob = new Blob(loadedParts);
    const stream = isGzip
      ? blob.stream().pipeThrough(new DecompressionStream("gzip")) : blob;
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /**
   * Forgets the parts of other versions of the page.
   * @param {FileParts[]} files all files of this version
   */
  async forgetOthers(files) {
    const cache = await globalThis.caches?.open(this.cacheName).catch(() => null);
    if (!cache) return;
    const paths = files.flatMap(({ parts }) => parts.map(({ path }) => path));
    const urls = new Set(paths.map((path) => new URL(path, this.baseUrl).href));
    const requests = await cache.keys();
    const others = requests.filter(({ url }) => !urls.has(url));
    await Promise.all(others.map((request) => cache.delete(request)));
  }

  async #loadPart({ path, size, sha256 }, cache) {
    const url = new URL(path, this.baseUrl).href;
    // The name of a part contains its hash, so that a cached one is the right one.
    const cached = await cache?.match(url);
    if (cached) {
      const bytes = await cached.arrayBuffer();
      this.onProgress(bytes.byteLength);
      if (bytes.byteLength === size) return bytes;
    }
    const bytes = await this.#download(url);
    if (bytes.byteLength !== size || !(await hasHash(bytes, sha256))) {
      throw new Error(`${path} is damaged; load the page again.`);
    }
    // Without space the part is used, but not kept.
    await cache?.put(url, new Response(bytes)).catch(() => {});
    return bytes;
  }

  async #download(url) {
    const response = await fetch(url).catch(() => null);
    if (!response?.ok) {
      const reason = response ? `status ${response.status}` : "no connection";
      throw new Error(`A part of the model cannot be loaded (${reason}).`);
    }
    const pieces = [];
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) return new Blob(pieces).arrayBuffer();
      pieces.push(value);
      this.onProgress(value.byteLength);
    }
  }
}

/** Without TLS the browser computes no hashes; the size was checked. */
async function hasHash(bytes, sha256) {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const digits = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0"));
  return digits.join("") === sha256;
}
