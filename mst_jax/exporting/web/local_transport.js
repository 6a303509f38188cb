/** Sends the requests of the page to the local server in the web worker instead of to
 * the annotation server. Used by start.js. */

export class LocalTransport {
  /** Functions that resolve the promises of requests, by request ID. */
  #resolvers = new Map();
  #numRequests = 0;
  /** URLs of the thumbnails by session ID. */
  #thumbnailUrls = new Map();

  /** @param {(message: string) => void} onError called with a sentence for the user */
  constructor(onError) {
    this.onError = onError;
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.#receive(data));
    this.hasStarted = new Promise((resolve) => {
      this.resolveStarted = resolve;
    });
    this.worker.addEventListener("error", ({ message }) => {
      this.onError(`This browser cannot run the page: ${message || "no web worker"}.`);
      this.resolveStarted();
    });
  }

  /**
   * Sends a request; see `setTransport` of api_client.js.
   * @param {string} path
   * @param {{method: string, body?: string|Blob}} request
   * @returns {Promise<Response>}
   */
  async send(path, { method, body }) {
    if (path.startsWith("/sessions?")) askForPersistence();
    const requestId = this.#numRequests++;
    const answer = new Promise((resolve) => this.#resolvers.set(requestId, resolve));
    this.worker.postMessage({ requestId, request: { method, path, body } });
    const { status, json, file, fileName } = await answer;
    const headers = {};
    if (fileName) {
      const encodedName = encodeURIComponent(fileName);
      headers["Content-Disposition"] = `attachment; filename*=UTF-8''${encodedName}`;
    }
    const content = file ?? (json === undefined ? null : JSON.stringify(json));
    return new Response(content, { status, headers });
  }

  /**
   * @param {string} path
   * @returns {?string} URL for an image element
   */
  urlOf(path) {
    const match = /^\/sessions\/(\w+)\/thumbnail$/.exec(path);
    return match ? this.#thumbnailUrls.get(match[1]) ?? null : null;
  }

  #receive({ requestId, response, started, thumbnails, error }) {
    if (requestId !== undefined) {
      this.#resolvers.get(requestId)(response);
      this.#resolvers.delete(requestId);
    }
    for (const [sessionId, thumbnail] of thumbnails ?? []) {
      this.#thumbnailUrls.set(sessionId, URL.createObjectURL(thumbnail));
    }
    if (error) this.onError(error);
    if (started) this.resolveStarted();
  }
}

/** Without this, the browser may delete the annotations when the disk is nearly full. */
function askForPersistence() {
  navigator.storage?.persist?.().catch(() => {});
}
