/** Talks to the server: a good answer, a refusal in one sentence, or silence. */

/** The server said no; its message is a sentence for the annotator. */
export class Refusal extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Nobody answered: the server is down or the network is. */
export class Silence extends Error {}

/**
 * Sends a request and returns the Response.
 * @param {string} method of HTTP
 * @param {string} path below /api
 * @param {object|Blob} [body] JSON, or bytes with their type
 */
export async function ask(method, path, body) {
  const bytes = body instanceof Blob;
  const kind = bytes ? body.type || "image/unknown" : "application/json";
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": kind },
      body: bytes || body === undefined ? body : JSON.stringify(body),
    });
  } catch {
    throw new Silence("The server does not answer.");
  }
  if (!answer.ok) throw new Refusal(await sentenceOf(answer), answer.status);
  return answer;
}

/** As `ask`, for answers in JSON. */
export const json = async (...request) => (await ask(...request)).json();

/** As `ask`, for pictures. */
export async function bitmap(path) {
  return createImageBitmap(await (await ask("GET", path)).blob());
}

async function sentenceOf(answer) {
  const said = await answer.json().catch(() => ({}));
  return said.error ?? `The server refused this (${answer.status}).`;
}
