/** The annotations of one image. New clicks, painted masks, attributes and deletions of
 * objects appear at once; other changes appear with the server's response. Requests are
 * sent one after the other. Opened by session_cache.js; used by actions and panels. */

import { encodeMaskPng } from "../drawing/binary_mask.js";
import { nextObjectColor } from "../drawing/colors.js";
import { ActionHistory } from "./action_history.js";
import { AnnotatedObject } from "./annotated_object.js";
import { ObjectCollection } from "./object_collection.js";
import { ServerSync } from "./server_sync.js";

export class AnnotationSession {
  /** @type {?string} name of new objects; null: the server names them */
  nextName = null;
  #collection = new ObjectCollection();
  #history = new ActionHistory();

  /**
   * @param {object} sessionState what `client.fetchState` returns
   * @param {ImageBitmap} image the image of the session
   * @param {SessionClient} client sends the requests
   * @param {object} callbacks functions that the session calls
   * @param {() => void} callbacks.onChange is called after every change
   * @param {(error: Error) => void} callbacks.onError is called for a rejected request
   */
  constructor(sessionState, image, client, callbacks) {
    this.sessionId = sessionState.session_id;
    this.imageName = sessionState.image_name;
    this.remarks = sessionState.remarks;
    this.image = image;
    this.client = client;
    this.callbacks = callbacks;
    this.sync = new ServerSync(client, this.#collection, callbacks);
    const objectIds = sessionState.objects.map(({ object_id: objectId }) => objectId);
    this.sync.mergeState({ ...sessionState, object_ids: objectIds });
  }

  /**
   * Opens a session with all earlier annotations.
   * @param {SessionClient} client sends the requests
   * @param {object} callbacks see the constructor
   * @returns {Promise<AnnotationSession>}
   */
  static async open(client, callbacks) {
    const [sessionState, image] =
      await Promise.all([client.fetchState(), client.fetchImage()]);
    return new AnnotationSession(sessionState, image, client, callbacks);
  }

  get objects() { return this.#collection.items; }
  get currentObject() { return this.#collection.currentObject; }
  get requestQueue() { return this.sync.requestQueue; }
  get isIdle() { return this.sync.isIdle; }

  /**
   * Returns the object that clicks and strokes apply to; creates one if needed.
   * @returns {AnnotatedObject}
   */
  getOrCreateObject() {
    return this.currentObject ?? this.#createObject();
  }

  /**
   * Clicks on the current object.
   * @param {number} x column in image pixels, an integer
   * @param {number} y row in image pixels, an integer
   * @param {boolean} positive whether the click is on the object
   * @returns {Promise<number|undefined>} milliseconds on the server; undefined if the
   *   request failed
   */
  async addClick(x, y, positive) {
    const object = this.getOrCreateObject();
    const click = { x, y, positive };
    object.pendingClicks.push(click);
    const response = await this.#changeMask(object, (requestKey) =>
      this.client.addClick(object.objectId, click, requestKey),
    () => object.pendingClicks.splice(object.pendingClicks.indexOf(click), 1));
    return response?.elapsed_ms;
  }

  /**
   * Removes one click; the server predicts the mask of the others.
   * @param {AnnotatedObject} object
   * @param {object} click one of `object.clicks`; a second call does nothing
   */
  deleteClick(object, click) {
    if (click.isDeleting) return;
    click.isDeleting = true;
    this.#changeMask(object, async (requestKey) => {
      // Earlier requests may have moved or removed the click.
      const clickIndex = object.clicks.indexOf(click);
      if (clickIndex < 0) return undefined;
      return this.client.deleteClick(object.objectId, clickIndex, requestKey);
    }, () => (click.isDeleting = false));
  }

  /**
   * Undoes the last action: a deletion of an object, or a change of the current object.
   * Without a current object, selects the last one.
   */
  undo() {
    const undoActions = {
      restore: () => this.#restoreObject(),
      undo: () => this.#changeHistory(this.currentObject, "undo"),
      select: () => this.selectObject(this.objects.at(-1) ?? null),
    };
    undoActions[this.nextUndo]?.();
  }

  /** Redoes the action that was undone last. */
  redo() {
    const redoActions = {
      delete: () => this.deleteObject(this.currentObject),
      redo: () => this.#changeHistory(this.currentObject, "redo"),
    };
    redoActions[this.nextRedo]?.();
  }

  /** What `undo` and `redo` would do; null: nothing. */
  get nextUndo() {
    return this.#history.nextUndo(this.#collection, this.isIdle);
  }

  get nextRedo() {
    return this.#history.nextRedo(this.currentObject);
  }

  /** Removes clicks and mask of the current object; this can be undone. */
  resetObject() {
    if (this.currentObject) this.#changeHistory(this.currentObject, "reset");
  }

  /**
   * Shows a painted mask at once, and sends it.
   * @param {AnnotatedObject} object
   * @param {BinaryMask} mask
   */
  replaceMask(object, mask) {
    object.mask = mask;
    // The server rejects an empty mask; a reset has the same result.
    if (mask.isEmpty) return this.#changeHistory(object, "reset");
    object.numPendingMasks += 1;
    // A promise, so that the action keeps its position while the mask is encoded.
    const maskPng = encodeMaskPng(mask, this.image.width, this.image.height);
    return this.#changeMask(object, async (requestKey) =>
      this.client.replaceMask(object.objectId, await maskPng, requestKey),
    () => (object.numPendingMasks -= 1));
  }

  /**
   * Makes an object the current one. The object that is left is finished; it is deleted
   * if it is empty.
   * @param {?AnnotatedObject} object null: the next click creates an object
   */
  selectObject(object) {
    const leftObject = this.currentObject;
    this.#collection.currentObject = object;
    if (leftObject && leftObject !== object) this.#leaveObject(leftObject);
    this.callbacks.onChange();
  }

  /**
   * Selects an object again after a reload of the page.
   * @param {?number} objectId unknown IDs select nothing
   */
  resumeObject(objectId) {
    this.#collection.currentObject = this.#collection.find(objectId);
  }

  /**
   * Shows new attributes at once, and sends them.
   * @param {AnnotatedObject} object
   * @param {{name?: string, color?: string, finished?: boolean}} attributes
   */
  updateObject(object, attributes) {
    Object.assign(object, attributes);
    this.callbacks.onChange();
    return this.sync.enqueue(async (requestKey) => {
      if (object.objectId === null) return;
      await this.client.updateObject(object.objectId, attributes, requestKey);
      // Again, because a response in between may have restored the old attributes.
      Object.assign(object, attributes);
    });
  }

  /**
   * Deletes an object; `undo` restores it.
   * @param {AnnotatedObject} object
   */
  deleteObject(object) {
    this.#history.recordDeletion(object);
    this.discardObject(object);
  }

  /**
   * Deletes an object that nobody wants back, such as an empty one.
   * @param {AnnotatedObject} object
   */
  discardObject(object) {
    this.#hideObject(object);
    this.sync.enqueue(async (requestKey) => {
      if (object.objectId === null) return;
      await this.client.deleteObject(object.objectId, requestKey);
    });
  }

  /**
   * Adds an object for every value above 0 of a label map.
   * @param {File} labelMap PNG as large as the image
   * @param {string} [query] parameters of the request
   */
  loadLabelMap(labelMap, query = "") {
    return this.sync.enqueue(async (requestKey) => {
      const { objects } = await this.client.loadLabelMap(labelMap, query, requestKey)
        .catch((error) => {
          if (error.retryWith) {
            error.retry = () => this.loadLabelMap(labelMap, error.retryWith);
          }
          throw error;
        });
      objects.forEach((added) => this.#collection.mergeObject(added));
    });
  }

  /**
   * Takes over what other users have changed.
   * @returns {Promise<boolean>} whether another user has deleted the current object
   */
  async fetchChanges() {
    const { currentObject } = this;
    const isMerged = await this.sync.fetchChanges();
    return isMerged && currentObject !== null && this.currentObject === null;
  }

  #createObject() {
    const usedColors = this.objects.map(({ color }) => color);
    const object = new AnnotatedObject(nextObjectColor(usedColors));
    const attributes = { color: object.color };
    if (this.nextName) object.name = attributes.name = this.nextName;
    this.#collection.insert(object);
    this.selectObject(object);
    this.sync.enqueue(async (requestKey) =>
      object.updateFromServer(await this.client.createObject(attributes, requestKey)),
    ).then(() => object.objectId ?? this.#hideObject(object));
    return object;
  }

  #restoreObject() {
    const object = this.#history.takeDeletedObject();
    this.#collection.insert(object);
    this.selectObject(object);
    this.sync.enqueue(async (requestKey) => {
      if (object.objectId === null) return;
      const { client } = this;
      object.updateFromServer(await client.restoreObject(object.objectId, requestKey));
    });
  }

  /** Finishes an object, and deletes it if it turns out to be empty. */
  async #leaveObject(object) {
    const isUnfinished = !object.isEmpty && !object.finished;
    if (isUnfinished) this.updateObject(object, { finished: true });
    await this.requestQueue.whenIdle();
    const isGone = object === this.currentObject || !this.objects.includes(object);
    if (object.isEmpty && !isGone) this.discardObject(object);
  }

  #hideObject(object) {
    this.#collection.remove(object);
    this.callbacks.onChange();
  }

  /** @param {"undo"|"redo"|"reset"} action */
  #changeHistory(object, action) {
    return this.#changeMask(object, (requestKey) =>
      this.client.changeHistory(object.objectId, action, requestKey));
  }

  /**
   * Sends an action that changes the mask of an object; reopens a finished object.
   * @param {AnnotatedObject} object
   * @param {(requestKey: string) => Promise<?object>} send returns the object of the
   *   server; undefined: nothing was sent
   * @param {() => void} [onSettled] called after success and failure
   * @returns {Promise<object|undefined>} the response; undefined if the request failed
   */
  #changeMask(object, send, onSettled = () => {}) {
    this.#history.recordChange();
    if (object.finished) this.updateObject(object, { finished: false });
    this.callbacks.onChange();
    return this.sync.enqueue(async (requestKey) => {
      // The object could not be created.
      if (object.objectId === null) return undefined;
      const response = await send(requestKey);
      if (response) object.updateFromServer(response);
      return response;
    }, onSettled, () => (object.version = null));
  }
}
