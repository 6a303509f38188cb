/** Sessions with their images, objects and arrays in IndexedDB. Used by
 * session_actions.js, snapshot_renderer.js and routes.js. */

import { compress, decompress } from "../files/compression.js";
import { LocalError } from "../files/local_error.js";
import { decodeRunLengths, encodeRunLengths } from "../files/run_lengths.js";
import { arrayIdsOf } from "./object_history.js";

/**
 * @typedef {object} StoredSession
 * @property {string} sessionId
 * @property {string} imageName
 * @property {number} width
 * @property {number} height
 * @property {number} revision grows with every change
 * @property {number} nextObjectId
 * @property {number} nextArrayId
 */

export class SessionStore {
  /** @param {Database} database */
  constructor(database) {
    this.database = database;
  }

  /**
   * Adds a session without objects.
   * @param {string} sessionId
   * @param {string} imageName
   * @param {Blob} file the image
   * @param {Blob} thumbnail
   * @param {{width: number, height: number}} imageSize
   * @returns {Promise<StoredSession>}
   */
  async addSession(sessionId, imageName, file, thumbnail, { width, height }) {
    const session = {
      sessionId, imageName, width, height, revision: 0, nextObjectId: 1, nextArrayId: 1,
    };
    const image = { sessionId, file, thumbnail };
    await this.database.write({ sessions: [session], images: [image] });
    return session;
  }

  /** @returns {Promise<StoredSession>} */
  async getSession(sessionId) {
    const session = await this.database.get("sessions", sessionId);
    if (!session) throw new LocalError("There is no such session.", 404);
    return session;
  }

  /** @returns {Promise<{file: Blob, thumbnail: Blob}>} */
  async getImage(sessionId) {
    const image = await this.database.get("images", sessionId);
    if (!image) throw new LocalError("There is no such session.", 404);
    return image;
  }

  /** @returns {Promise<{sessionId: string, thumbnail: Blob}[]>} */
  getImages() {
    return this.database.getAll("images");
  }

  /** @returns {Promise<StoredObject[]>} those that are not deleted, in order */
  async getObjects(sessionId) {
    const objects = await this.database.getAll("objects", sessionId);
    return objects.filter(({ isDeleted }) => !isDeleted);
  }

  /**
   * @param {string} sessionId
   * @param {number} objectId
   * @param {boolean} [isDeleted] whether the object must be a deleted one
   * @returns {Promise<StoredObject>}
   */
  async getObject(sessionId, objectId, isDeleted = false) {
    const object = await this.database.get("objects", [sessionId, objectId]);
    if (!object || object.isDeleted !== isDeleted) {
      throw new LocalError(`There is no object ${objectId}.`, 404);
    }
    return object;
  }

  /** @returns {Promise<Float32Array>} bitwise the one that was stored */
  async getPrediction(sessionId, arrayId) {
    const data = await this.#getArray(sessionId, arrayId);
    return new Float32Array((await decompress(data, "deflate-raw")).buffer);
  }

  /** @returns {Promise<Uint8Array>} height * width values, 1 = object */
  async getMask({ sessionId, width, height }, arrayId) {
    const counts = await this.#getArray(sessionId, arrayId);
    return decodeRunLengths(counts, { width, height });
  }

  /**
   * Stores objects and the arrays that they need in one transaction; arrays that they
   * no longer need are deleted.
   * @param {StoredSession} session
   * @param {{before: ?StoredObject, after: StoredObject}[]} changes
   * @param {StagedArrays} [staged] new arrays
   * @returns {Promise<StoredObject[]>} the objects with their revision
   */
  async commit(session, changes, staged) {
    const revision = session.revision + 1;
    const objects = changes.map(({ after }) => ({ ...after, revision }));
    const droppedKeys = changes.flatMap(({ before, after }) => {
      const neededIds = arrayIdsOf(after);
      const oldIds = before ? [...arrayIdsOf(before)] : [];
      return oldIds.filter((arrayId) => !neededIds.has(arrayId))
        .map((arrayId) => [session.sessionId, arrayId]);
    });
    const nextObjectId = Math.max(
      session.nextObjectId, ...objects.map(({ objectId }) => objectId + 1));
    const nextArrayId = staged?.nextArrayId ?? session.nextArrayId;
    await this.database.write({
      sessions: [{ ...session, revision, nextObjectId, nextArrayId }],
      objects, arrays: staged?.entries ?? [],
    }, { arrays: droppedKeys });
    return objects;
  }

  async #getArray(sessionId, arrayId) {
    const data = await this.database.get("arrays", [sessionId, arrayId]);
    if (!data) throw new LocalError("This mask is gone; open the image again.", 404);
    return data;
  }
}

/** Arrays that the next change of a session stores. */
export class StagedArrays {
  /** Pairs of key and encoded array. */
  entries = [];

  /** @param {StoredSession} session */
  constructor(session) {
    this.session = session;
    this.nextArrayId = session.nextArrayId;
  }

  /**
   * @param {Float32Array} prob
   * @returns {Promise<number>} array ID
   */
  async addPrediction(prob) {
    return this.#add(await compress(prob, "deflate-raw"));
  }

  /**
   * @param {Uint8Array} mask height * width values, 1 = object
   * @returns {number} array ID
   */
  addMask(mask) {
    return this.#add(Uint32Array.from(encodeRunLengths(mask, this.session)));
  }

  #add(data) {
    this.entries.push([[this.session.sessionId, this.nextArrayId], data]);
    return this.nextArrayId++;
  }
}
