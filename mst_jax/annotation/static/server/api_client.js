/** Sends requests to the REST interface. Used by every module that needs the server. */

/** The server rejected a request; the message is a sentence for the user. */
export class RequestRejected extends Error {
  /**
   * @param {string} message reason, one sentence
   * @param {number} status HTTP status, 400 to 599
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** No response arrived: the server or the network is down. */
export class ServerUnreachable extends Error {}

/**
 * Sends a request.
 * @param {string} method HTTP method
 * @param {string} path path below /api, with a leading slash
 * @param {object|Blob} [body] value to send as JSON, or bytes with their media type
 * @returns {Promise<Response>} response with a status of 200 to 299
 * @throws {RequestRejected|ServerUnreachable}
 */
export async function sendRequest(method, path, body) {
  const isBytes = body instanceof Blob;
  const contentType = isBytes ? body.type || "image/unknown" : "application/json";
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": contentType },
      body: isBytes || body === undefined ? body : JSON.stringify(body),
    });
  } catch {
    // fetch fails only without a response; HTTP errors are handled below.
    throw new ServerUnreachable("The server does not respond.");
  }
  if (!response.ok) {
    throw new RequestRejected(await readErrorMessage(response), response.status);
  }
  return response;
}

/**
 * Sends a request like `sendRequest` and parses the JSON of the response.
 * @returns {Promise<any>}
 */
export async function requestJson(method, path, body) {
  return (await sendRequest(method, path, body)).json();
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

async function readErrorMessage(response) {
  // A proxy in between may respond with something else than JSON.
  const errorBody = await response.json().catch(() => ({}));
  return errorBody.error ?? `The server rejected the request (${response.status}).`;
}
