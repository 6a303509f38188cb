/** The requests of one session of the server. session.js calls these methods only, so a
 * page without a server can pass another object with the same methods. */

import { requestBitmap, requestJson, sendRequest } from "./api_client.js";

/**
 * @typedef {object} ServerObject an object as the server describes it
 * @property {number} object_id
 * @property {number} version grows with every change of the mask
 * @property {?number} saved_version `version` of the exported mask; null: not exported
 * @property {{size: [number, number], counts: number[]}} mask run lengths
 */

export class SessionClient {
  /** @param {string} sessionId */
  constructor(sessionId) {
    this.sessionId = sessionId;
    this.path = `/sessions/${sessionId}`;
  }

  /** @returns {Promise<object>} the session with all objects and masks */
  fetchState() {
    return requestJson("GET", this.path);
  }

  /** @returns {Promise<ImageBitmap>} */
  fetchImage() {
    return requestBitmap(`${this.path}/image`);
  }

  /**
   * @param {number} revision of the session, as the server counts its changes
   * @returns {Promise<object>} IDs of all objects, and the objects changed since
   */
  fetchChanges(revision) {
    return requestJson("GET", `${this.path}/changes?since=${revision}`);
  }

  /**
   * @param {{color: string, name?: string}} attributes
   * @param {string} requestKey here and below: the server applies a key once
   * @returns {Promise<ServerObject>}
   */
  createObject(attributes, requestKey) {
    return requestJson("POST", `${this.path}/objects`, attributes, requestKey);
  }

  /** @returns {Promise<ServerObject>} */
  updateObject(objectId, attributes, requestKey) {
    return requestJson("PATCH", this.#objectPath(objectId), attributes, requestKey);
  }

  deleteObject(objectId, requestKey) {
    return sendRequest("DELETE", this.#objectPath(objectId), undefined, requestKey);
  }

  /** @returns {Promise<ServerObject>} the deleted object as it was */
  restoreObject(objectId, requestKey) {
    return this.#postAction(objectId, "restore", undefined, requestKey);
  }

  /**
   * @param {number} objectId
   * @param {{x: number, y: number, positive: boolean}} click image pixels
   * @param {string} requestKey
   * @returns {Promise<ServerObject>} with the new mask
   */
  addClick(objectId, click, requestKey) {
    return this.#postAction(objectId, "clicks", click, requestKey);
  }

  /** @returns {Promise<ServerObject>} with the mask of the other clicks */
  deleteClick(objectId, clickIndex, requestKey) {
    const path = `${this.#objectPath(objectId)}/clicks/${clickIndex}`;
    return requestJson("DELETE", path, undefined, requestKey);
  }

  /**
   * @param {number} objectId
   * @param {"undo"|"redo"|"reset"} action
   * @param {string} requestKey
   * @returns {Promise<ServerObject>} with the new mask
   */
  changeHistory(objectId, action, requestKey) {
    return this.#postAction(objectId, action, undefined, requestKey);
  }

  /**
   * @param {number} objectId
   * @param {Blob} maskPng as large as the image
   * @param {string} requestKey
   * @returns {Promise<ServerObject>}
   */
  replaceMask(objectId, maskPng, requestKey) {
    const path = `${this.#objectPath(objectId)}/mask`;
    return requestJson("PUT", path, maskPng, requestKey);
  }

  /**
   * @param {File} labelMap
   * @param {string} query parameters of the request, or ""
   * @param {string} requestKey
   * @returns {Promise<{objects: ServerObject[]}>} the objects of a label map
   */
  loadLabelMap(labelMap, query, requestKey) {
    const path = `${this.path}/label-map?${query}`;
    return requestJson("POST", path, labelMap, requestKey);
  }

  /** @returns {Promise<ImageBitmap>} the probability map as a gray image */
  fetchProbability(objectId) {
    return requestBitmap(`${this.#objectPath(objectId)}/mask?values=probability`);
  }

  /**
   * @param {number} objectId
   * @returns {Promise<{fine: number[][], coarse: number[][]}>} boxes [x, y, width,
   *   height] of the tokens that the model selects, image pixels
   */
  fetchTokenBoxes(objectId) {
    return requestJson("GET", `${this.#objectPath(objectId)}/tokens`);
  }

  #objectPath(objectId) {
    return `${this.path}/objects/${objectId}`;
  }

  #postAction(objectId, action, body, requestKey) {
    const path = `${this.#objectPath(objectId)}/${action}`;
    return requestJson("POST", path, body, requestKey);
  }
}
