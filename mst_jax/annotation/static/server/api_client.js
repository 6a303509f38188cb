/** Sends requests to the REST interface. The other modules of server/ and the panels
 * build on it. */

/** Statuses after which a request may succeed later: too slow, busy, disk full. */
const RETRY_STATUSES = [408, 429, 502, 503, 504, 507];
const DOWNLOAD_URL_MS = 60_000; // time until the URL of a download is released

/** Sends requests to the server; `setTransport` replaces it. */
let transport = {
  send: (path, request) => fetch(`/api${path}`, request),
  urlOf: (path) => `/api${path}`,
};

/** The server rejected a request for good; the message is a sentence for the user. */
export class RequestRejected extends Error {
  /**
   * @param {string} message reason, one sentence
   * @param {number} status HTTP status, 400 to 599
   * @param {?string} [retryWith] query parameter with which the request is accepted
   */
  constructor(message, status, retryWith = null) {
    super(message);
    this.status = status;
    this.retryWith = retryWith;
  }
}

/** The server cannot store anything now: it is down, busy, or its disk is full. */
export class ServerUnavailable extends Error {}

/**
 * Replaces the server: a page without one answers its requests in the browser.
 * @param {object} newTransport
 * @param {(path: string, request: RequestInit) => Promise<Response>} newTransport.send
 * @param {(path: string) => ?string} newTransport.urlOf URL of an image; null: none
 */
export function setTransport(newTransport) {
  transport = newTransport;
}

/**
 * @param {string} path path below /api, of an image
 * @returns {?string} URL for an image element; null: there is none
 */
export function urlOf(path) {
  return transport.urlOf(path);
}

/**
 * Sends a request.
 * @param {string} method HTTP method
 * @param {string} path path below /api, with a leading slash
 * @param {object|Blob} [body] value to send as JSON, or bytes with their media type
 * @param {string} [requestKey] names this request; the server applies a key once
 * @returns {Promise<Response>} response with a status of 200 to 299
 * @throws {RequestRejected|ServerUnavailable}
 */
export async function sendRequest(method, path, body, requestKey) {
  const isBytes = body instanceof Blob;
  const headers = {};
  if (isBytes) headers["Content-Type"] = body.type || "image/unknown";
  else if (body !== undefined) headers["Content-Type"] = "application/json";
  if (requestKey) headers["Idempotency-Key"] = requestKey;
  const encodedBody = isBytes || body === undefined ? body : JSON.stringify(body);
  let response;
  try {
    response = await transport.send(path, { method, headers, body: encodedBody });
  } catch {
    // fetch fails only without a response; HTTP errors are handled below.
    throw new ServerUnavailable("The server does not respond.");
  }
  if (response.ok) return response;
  // A proxy in between may respond with something else than JSON.
  const { error, retry_with: retryWith } = await response.json().catch(() => ({}));
  const message = error ?? `The server rejected the request (${response.status}).`;
  if (RETRY_STATUSES.includes(response.status)) throw new ServerUnavailable(message);
  throw new RequestRejected(message, response.status, retryWith);
}

/**
 * Sends a request like `sendRequest` and parses the JSON of the response.
 * @returns {Promise<any>}
 */
export async function requestJson(method, path, body, requestKey) {
  return (await sendRequest(method, path, body, requestKey)).json();
}

/**
 * Downloads and decodes an image.
 * @param {string} path path below /api
 * @returns {Promise<ImageBitmap>}
 */
export async function requestBitmap(path) {
  const response = await sendRequest("GET", path);
  return createImageBitmap(await response.blob());
}

/**
 * Downloads a file; the browser asks where to store it, or stores it.
 * @param {string} path path below /api
 */
export async function downloadFile(path) {
  const response = await sendRequest("GET", path);
  // 1. The server names the file, percent-encoded.
  const contentDisposition = response.headers.get("Content-Disposition") ?? "";
  const fileName = /filename\*=UTF-8''(.+)/.exec(contentDisposition);
  // 2. A click on a link starts the download.
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = fileName ? decodeURIComponent(fileName[1]) : "masks";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), DOWNLOAD_URL_MS);
}

/**
 * Returns a new key for a request, 32 hexadecimal digits.
 * @returns {string}
 */
export function createRequestKey() {
  // crypto.randomUUID is missing on pages without TLS on other hosts than this one.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
