/** Sessions that stay open beside the visible one: those of the images seen last, of
 * the next image, and those with requests on their way. Used by app.js. */

import { AnnotationSession } from "../annotations/session.js";
import {
  RequestRejected, createRequestKey, requestJson,
} from "../server/api_client.js";
import { SessionClient } from "../server/session_client.js";

const MAX_IDLE_SESSIONS = 4; // each holds an image and its masks in memory

export class SessionCache {
  /** Promises of sessions by entry; the one used last is at the end. */
  #sessions = new Map();
  /** Sessions whose promise is fulfilled. */
  #openSessions = new Set();

  /** @param {object} callbacks see `AnnotationSession` */
  constructor(callbacks) {
    this.callbacks = callbacks;
  }

  /**
   * Opens the session of an image, or returns the one that is open already.
   * @param {ImageEntry} entry
   * @returns {Promise<AnnotationSession>}
   */
  open(entry) {
    const session = this.#sessions.get(entry) ?? this.#openSession(entry);
    // Added again, so that it is the last one.
    this.#sessions.delete(entry);
    this.#sessions.set(entry, session);
    // A failure is not kept: the next call tries again.
    session.catch(() => this.#sessions.delete(entry));
    this.#closeOldest();
    return session;
  }

  /**
   * Forgets a session that the server has closed.
   * @param {ImageEntry} entry
   */
  forget(entry) {
    this.#sessions.delete(entry);
    entry.sessionId = null;
  }

  /** @returns {AnnotationSession[]} all open sessions with requests on their way */
  get unsavedSessions() {
    return [...this.#openSessions].filter(({ isIdle }) => !isIdle);
  }

  async #openSession(entry) {
    const hadSession = Boolean(entry.sessionId);
    try {
      if (!entry.sessionId) await createSession(entry);
      return await this.#openById(entry.sessionId);
    } catch (error) {
      const isClosed = error instanceof RequestRejected && error.status === 404;
      if (!isClosed || !hadSession) throw error;
      // The server has closed the session. A file of an earlier page load is gone.
      entry.sessionId = null;
      if (!entry.isInFolder && !entry.file) {
        throw new RequestRejected("This session has ended. Open the image again.", 404);
      }
      await createSession(entry);
      return this.#openById(entry.sessionId);
    }
  }

  async #openById(sessionId) {
    const client = new SessionClient(sessionId);
    const session = await AnnotationSession.open(client, this.callbacks);
    this.#openSessions.add(session);
    return session;
  }

  async #closeOldest() {
    const [oldestEntry] = this.#sessions.keys();
    if (this.#sessions.size <= MAX_IDLE_SESSIONS) return;
    const oldestSession = await this.#sessions.get(oldestEntry).catch(() => null);
    this.#sessions.delete(oldestEntry);
    // Its requests go on; until then it counts as not saved.
    await oldestSession?.requestQueue.whenIdle();
    this.#openSessions.delete(oldestSession);
  }
}

/** Opens an image on the server; the entry gets its session ID. */
async function createSession(entry) {
  const path = `/sessions?name=${encodeURIComponent(entry.name)}`;
  const opened = entry.isInFolder
    ? await requestJson("POST", "/sessions", { image: entry.name })
    : await requestJson("POST", path, entry.file, createRequestKey());
  entry.sessionId = opened.session_id;
}
