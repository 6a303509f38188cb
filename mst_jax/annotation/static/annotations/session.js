/** The annotations of one image. New clicks, painted masks, attributes and deletions of
 * objects appear at once; other changes appear with the server's response. Requests are
 * sent one after the other. Opened by app.js; used by actions, lists and canvas. */

import { AnnotatedObject } from "./annotated_object.js";
import { requestBitmap, requestJson, sendRequest } from "../server/api_client.js";
import { encodeMaskPng } from "../drawing/binary_mask.js";
import { nextObjectColor } from "../drawing/colors.js";
import { RequestQueue } from "../server/request_queue.js";

export class AnnotationSession {
  /** @type {AnnotatedObject[]} in order of creation */
  objects = [];
  /** @type {?AnnotatedObject} null: the next click creates an object */
  currentObject = null;

  /**
   * Creates the page's copy of a session of the server.
   * @param {object} sessionState the response of GET /api/sessions/{session_id}
   * @param {ImageBitmap} image the image of the session
   * @param {object} callbacks functions that the session calls
   * @param {() => void} callbacks.onChange is called after every change
   * @param {(error: Error) => void} callbacks.onError is called for a rejected request
   */
  constructor(sessionState, image, callbacks) {
    this.sessionId = sessionState.session_id;
    this.imageName = sessionState.image_name;
    this.image = image;
    this.callbacks = callbacks;
    this.requestQueue = new RequestQueue(callbacks.onChange);
    this.#mergeServerObjects(sessionState.objects);
    // After a reload, clicks continue the last unfinished object.
    this.currentObject = this.objects.findLast(({ finished }) => !finished) ?? null;
  }

  /**
   * Opens a session of the server with all earlier annotations.
   * @param {string} sessionId
   * @param {object} callbacks see the constructor
   * @returns {Promise<AnnotationSession>}
   */
  static async open(sessionId, callbacks) {
    const sessionState = await requestJson("GET", `/sessions/${sessionId}`);
    const image = await requestBitmap(`/sessions/${sessionId}/image`);
    return new AnnotationSession(sessionState, image, callbacks);
  }

  /**
   * Returns the object that clicks and strokes apply to; creates one if needed.
   * @returns {AnnotatedObject}
   */
  getOrCreateObject() {
    const usedColors = this.objects.map(({ color }) => color);
    return this.currentObject ?? this.#createObject(nextObjectColor(usedColors));
  }

  /**
   * Clicks on the current object.
   * @param {number} x column in image pixels, an integer
   * @param {number} y row in image pixels, an integer
   * @param {boolean} positive whether the click is on the object
   * @returns {Promise<number|undefined>} milliseconds on the server; undefined if the
   *   request failed or only its response was lost
   */
  async addClick(x, y, positive) {
    const object = this.getOrCreateObject();
    const click = { x, y, positive };
    object.pendingClicks.push(click);
    const removePending = () =>
      object.pendingClicks.splice(object.pendingClicks.indexOf(click), 1);
    const response = await this.#changeMask(
      object, "POST", "/clicks", click, removePending,
    );
    return response?.elapsed_ms;
  }

  /**
   * Removes one click; the server predicts the mask of the others.
   * @param {AnnotatedObject} object
   * @param {number} clickIndex index into `object.clicks`
   */
  deleteClick(object, clickIndex) {
    return this.#changeMask(object, "DELETE", `/clicks/${clickIndex}`);
  }

  /** Undoes the last action; without a current object, selects the last object. */
  undo() {
    if (this.currentObject) this.#changeMask(this.currentObject, "POST", "/undo");
    else this.selectObject(this.objects.at(-1) ?? null);
  }

  /** Redoes the action that was undone last. */
  redo() {
    if (this.currentObject) this.#changeMask(this.currentObject, "POST", "/redo");
  }

  /** Removes clicks and mask of the current object; this can be undone. */
  resetObject() {
    if (this.currentObject) this.#changeMask(this.currentObject, "POST", "/reset");
  }

  /**
   * Shows a painted mask at once, and sends it.
   * @param {AnnotatedObject} object
   * @param {BinaryMask} mask
   */
  replaceMask(object, mask) {
    object.mask = mask;
    // The server rejects an empty mask; a reset has the same result.
    if (mask.isEmpty) return this.#changeMask(object, "POST", "/reset");
    object.numPendingMasks += 1;
    const maskPng = encodeMaskPng(mask, this.image.width, this.image.height);
    return this.#changeMask(
      object, "PUT", "/mask", maskPng, () => (object.numPendingMasks -= 1),
    );
  }

  /** Finishes the current object; the next click creates another. */
  finishObject() {
    const object = this.currentObject;
    if (!object) return;
    this.selectObject(null);
    this.#updateObject(object, { finished: true });
  }

  /**
   * Makes an object the current one.
   * @param {?AnnotatedObject} object null: the next click creates an object
   */
  selectObject(object) {
    this.currentObject = object;
    this.callbacks.onChange();
  }

  /**
   * Renames an object.
   * @param {AnnotatedObject} object
   * @param {string} name 1 to 200 characters
   */
  renameObject(object, name) {
    this.#updateObject(object, { name });
  }

  /**
   * Changes the color of an object.
   * @param {AnnotatedObject} object
   * @param {string} color "#rrggbb"
   */
  recolorObject(object, color) {
    this.#updateObject(object, { color });
  }

  /**
   * Deletes an object.
   * @param {AnnotatedObject} object
   * @returns {() => Promise<void>} function that restores it, without its clicks
   */
  deleteObject(object) {
    this.#removeFromPage(object);
    this.#enqueue(async (isRetry) => {
      if (object.objectId === null) return;
      const response = sendRequest("DELETE", this.#objectPath(object));
      // On a retry the object may be deleted already: 404 is then a success.
      await (isRetry ? response.catch(() => {}) : response);
    });
    return async () => {
      const restored = this.#createObject(object.color);
      if (object.name) this.renameObject(restored, object.name);
      if (!object.mask.isEmpty) await this.replaceMask(restored, object.mask);
    };
  }

  /**
   * Adds an object for every value above 0 of a label map.
   * @param {File} labelMap PNG as large as the image
   */
  loadLabelMap(labelMap) {
    return this.#enqueue(async () => {
      const path = `/sessions/${this.sessionId}/label-map`;
      this.#mergeServerObjects((await requestJson("POST", path, labelMap)).objects);
    });
  }

  /**
   * Fetches the probability map of an object.
   * @param {AnnotatedObject} object
   * @returns {Promise<ImageBitmap>} the probability map as a gray image
   */
  fetchProbability(object) {
    return requestBitmap(`${this.#objectPath(object)}/mask?values=probability`);
  }

  /**
   * Fetches the tokens that the model selects for an object.
   * @param {AnnotatedObject} object
   * @returns {Promise<{fine: number[][], coarse: number[][]}>} boxes [x, y, width,
   *   height] of the selected tokens in image pixels
   */
  fetchTokenBoxes(object) {
    return requestJson("GET", `${this.#objectPath(object)}/tokens`);
  }

  #objectPath(object) {
    return `/sessions/${this.sessionId}/objects/${object.objectId}`;
  }

  #createObject(color) {
    const object = new AnnotatedObject(color);
    this.objects.push(object);
    this.selectObject(object);
    this.#enqueue(async (isRetry) => {
      // If only the response was lost, the server has an object that is unknown here.
      if (isRetry) {
        const { objects } = await requestJson("GET", `/sessions/${this.sessionId}`);
        const created = objects.find(({ object_id }) => !this.#findObject(object_id));
        if (created) return object.updateFromServer(created);
      }
      const path = `/sessions/${this.sessionId}/objects`;
      object.updateFromServer(await requestJson("POST", path, { color }));
    }).then(() => object.objectId ?? this.#removeFromPage(object));
    return object;
  }

  #removeFromPage(object) {
    this.objects = this.objects.filter((candidate) => candidate !== object);
    if (this.currentObject === object) this.currentObject = null;
    this.callbacks.onChange();
  }

  /** Shows new attributes (name, color or finished) at once, and sends them. */
  #updateObject(object, attributes) {
    Object.assign(object, attributes);
    this.callbacks.onChange();
    this.#enqueue(async () => {
      if (object.objectId === null) return;
      await requestJson("PATCH", this.#objectPath(object), attributes);
      // Again, because a response in between may have restored the old attributes.
      Object.assign(object, attributes);
    });
  }

  /**
   * Sends an action that changes the mask of an object.
   * @param {AnnotatedObject} object
   * @param {string} method HTTP method
   * @param {string} subpath path below that of the object
   * @param {object|Blob|Promise<Blob>} [body] a promise is awaited in the queue, so
   *   that an action keeps its position while its body is encoded
   * @param {() => void} [onSettled] called after success and failure
   * @returns {Promise<object|undefined>} the response; undefined if the request failed
   *   or only its response was lost
   */
  #changeMask(object, method, subpath, body, onSettled = () => {}) {
    if (object.finished) this.#updateObject(object, { finished: false });
    this.callbacks.onChange();
    let versionBefore = null;
    return this.#enqueue(async (isRetry) => {
      if (isRetry) await this.#syncWithServer();
      else versionBefore = object.version;
      // A new version after a lost response: the action was applied, do not repeat it.
      const isApplied = object.version !== versionBefore;
      if (object.objectId === null || isApplied) return undefined;
      const path = this.#objectPath(object) + subpath;
      const response = await requestJson(method, path, await body);
      object.updateFromServer(response);
      return response;
    }, onSettled);
  }

  /** Queues a task; after a failure, updates and adds the server's objects. */
  async #enqueue(task, onSettled = () => {}) {
    try {
      return await this.requestQueue.add(task);
    } catch (error) {
      this.callbacks.onError(error);
      await this.#syncWithServer().catch(() => {});
    } finally {
      onSettled();
      this.callbacks.onChange();
    }
  }

  async #syncWithServer() {
    const { objects } = await requestJson("GET", `/sessions/${this.sessionId}`);
    this.#mergeServerObjects(objects);
  }

  /** Updates known objects and adds unknown ones. */
  #mergeServerObjects(serverObjects) {
    for (const serverObject of serverObjects) {
      let object = this.#findObject(serverObject.object_id);
      if (!object) {
        object = new AnnotatedObject(serverObject.color);
        this.objects.push(object);
      }
      const { name, color, finished } = serverObject;
      Object.assign(object, { name, color, finished });
      object.updateFromServer(serverObject);
    }
  }

  #findObject(objectId) {
    return this.objects.find((object) => object.objectId === objectId);
  }
}
