/** The actions of the user on the objects of an image; each is stored when its promise
 * is fulfilled. Used by routes.js. */

import { createRequestKey } from "../../static/server/api_client.js";
import { pastePrediction } from "../engine/click_engine.js";
import { decodeImage, makeThumbnail } from "../files/images.js";
import { LocalError } from "../files/local_error.js";
import { decodeValuesPng } from "../files/png.js";
import {
  EMPTY_SNAPSHOT, appendSnapshot, currentSnapshot, makeObject, redo, undo,
} from "./object_history.js";
import { StagedArrays } from "./session_store.js";

const MAX_OBJECTS = 500; // of an image
const MAX_CLICKS = 192; // on an object: 24 click slots, doubled three times
const IGNORED_VALUE = 65535; // of a label map
const DEFAULT_COLORS = [
  "#2c82ff", "#ff9f1c", "#2ec4b6", "#e71d36", "#9b5de5", "#8ac926", "#f15bb5",
];

export class SessionActions {
  /**
   * @param {SessionStore} store
   * @param {LabelStore} labels
   * @param {SnapshotRenderer} renderer
   * @param {() => Promise<ClickEngine>} loadEngine
   */
  constructor(store, labels, renderer, loadEngine) {
    Object.assign(this, { store, labels, renderer, loadEngine });
  }

  /** @returns {Promise<StoredSession>} of an image that was opened */
  async openImage(file, imageName) {
    const imageSize = await decodeImage(file);
    const thumbnail = await makeThumbnail(file);
    return this.store.addSession(
      createRequestKey(), imageName, file, thumbnail, imageSize);
  }

  /** @returns {Promise<StoredObject[]>} as do the other actions */
  async addObject(session, { name, color }) {
    await this.#checkNumObjects(session, 1);
    const objectId = session.nextObjectId;
    const labelId = name ? await this.labels.choose(name) : null;
    const after =
      makeObject(session.sessionId, objectId, labelId, color ?? defaultColor(objectId));
    return this.store.commit(session, [{ before: null, after }]);
  }

  async updateObject(session, objectId, { name, color, finished }) {
    const before = await this.store.getObject(session.sessionId, objectId);
    const after = { ...before };
    // The default name is not a label.
    if (name && name !== `object ${objectId}`) {
      after.labelId = await this.labels.choose(name);
    }
    if (color !== undefined) after.color = color;
    if (finished !== undefined) after.finished = finished;
    return this.store.commit(session, [{ before, after }]);
  }

  async removeObject(session, objectId) {
    const before = await this.store.getObject(session.sessionId, objectId);
    return this.store.commit(session, [{ before, after: { ...before, isDeleted: true } }]);
  }

  async restoreObject(session, objectId) {
    const before = await this.store.getObject(session.sessionId, objectId, true);
    return this.store.commit(
      session, [{ before, after: { ...before, isDeleted: false } }]);
  }

  async addClick(session, objectId, { x, y, positive }) {
    const object = await this.store.getObject(session.sessionId, objectId);
    const snapshot = currentSnapshot(object);
    // Written so that NaN is outside.
    if (!(x >= 0 && x < session.width && y >= 0 && y < session.height)) {
      throw new LocalError(
        `The click at x ${x}, y ${y} lies outside the image of ${session.width}x` +
        `${session.height} pixels.`);
    }
    if (snapshot.clicks.length >= MAX_CLICKS) {
      throw new LocalError(
        `The object has ${MAX_CLICKS} clicks, the maximum; correct its mask with the ` +
        "brush.");
    }
    return this.#applyClicks(session, object, snapshot, [{ x, y, positive }]);
  }

  async removeClick(session, objectId, clickIndex) {
    const object = await this.store.getObject(session.sessionId, objectId);
    const { clicks, initialMaskId } = currentSnapshot(object);
    if (!(clickIndex in clicks)) {
      throw new LocalError(`Object ${objectId} has no click ${clickIndex}.`, 404);
    }
    // The predictions of later clicks depend on the removed one, so that all clicks are
    // made again from the beginning.
    const start = await this.#initialSnapshot(session, initialMaskId);
    const otherClicks = clicks.filter((_, index) => index !== clickIndex);
    return this.#applyClicks(session, object, start, otherClicks);
  }

  /** @param {"undo"|"redo"|"reset"} action */
  async changeHistory(session, objectId, action) {
    const before = await this.store.getObject(session.sessionId, objectId);
    const changes = {
      undo, redo, reset: (object) => appendSnapshot(object, EMPTY_SNAPSHOT),
    };
    return this.store.commit(session, [{ before, after: changes[action](before) }]);
  }

  /** Replaces the clicks of an object by a painted mask, white on black. */
  async replaceMask(session, objectId, maskPng) {
    const before = await this.store.getObject(session.sessionId, objectId);
    const { rgba, width, height } = await decodeImage(maskPng);
    checkMaskSize({ width, height }, session);
    const mask = new Uint8Array(width * height);
    for (let index = 0; index < mask.length; index++) {
      mask[index] = rgba[index * 4] > 127 ? 1 : 0;
    }
    const staged = new StagedArrays(session);
    const after = appendSnapshot(before, stageMask(staged, mask));
    return this.store.commit(session, [{ before, after }], staged);
  }

  /** Adds an object for every value of a label map but 0 and 65535. */
  async loadLabelMap(session, file) {
    const labelMap = await decodeValuesPng(new Uint8Array(await file.arrayBuffer()));
    checkMaskSize(labelMap, session);
    const values = [...new Set(labelMap.values)].filter(
      (value) => value !== 0 && value !== IGNORED_VALUE).sort((a, b) => a - b);
    if (!values.length) {
      throw new LocalError("The label map is 0 everywhere, expected objects.");
    }
    await this.#checkNumObjects(session, values.length);
    const staged = new StagedArrays(session);
    const changes = values.map((value, index) => {
      const mask = Uint8Array.from(labelMap.values, (other) => (other === value ? 1 : 0));
      const objectId = session.nextObjectId + index;
      const object =
        makeObject(session.sessionId, objectId, null, defaultColor(objectId));
      return { before: null, after: appendSnapshot(object, stageMask(staged, mask)) };
    });
    return this.store.commit(session, changes, staged);
  }

  /** Makes clicks one after the other, each from the mask before it. */
  async #applyClicks(session, before, snapshot, newClicks) {
    const [engine, image] = await Promise.all(
      [this.loadEngine(), this.renderer.getPixels(session.sessionId)]);
    let state = await this.renderer.render(session, snapshot);
    let clicks = snapshot.clicks;
    let prediction = null;
    for (const click of newClicks) {
      clicks = [...clicks, click];
      prediction = await engine.predict(image, clicks, state);
      state = pastePrediction(prediction, session);
    }
    const staged = new StagedArrays(session);
    const newSnapshot = prediction === null ? snapshot : {
      clicks, initialMaskId: snapshot.initialMaskId, roi: prediction.roi,
      // Only the last prediction is needed: it restores the mask on its own.
      predictionId: await staged.addPrediction(prediction.prob),
      area: countPixels(state.mask),
    };
    this.renderer.remember(session, newSnapshot, state);
    const after = appendSnapshot(before, newSnapshot);
    return this.store.commit(session, [{ before, after }], staged);
  }

  async #initialSnapshot(session, initialMaskId) {
    if (initialMaskId === null) return EMPTY_SNAPSHOT;
    const mask = await this.store.getMask(session, initialMaskId);
    return { ...EMPTY_SNAPSHOT, initialMaskId, area: countPixels(mask) };
  }

  async #checkNumObjects({ sessionId }, numNew) {
    const objects = await this.store.getObjects(sessionId);
    if (objects.length + numNew > MAX_OBJECTS) {
      throw new LocalError(
        `The image would have ${objects.length + numNew} objects, the maximum is ` +
        `${MAX_OBJECTS}.`);
    }
  }
}

function stageMask(staged, mask) {
  const area = countPixels(mask);
  if (!area) {
    throw new LocalError("The mask is empty, expected an object; reset it instead.");
  }
  return { ...EMPTY_SNAPSHOT, initialMaskId: staged.addMask(mask), area };
}

function checkMaskSize(mask, image) {
  if (mask.width === image.width && mask.height === image.height) return;
  throw new LocalError(
    `The mask has ${mask.height} rows and ${mask.width} columns, expected ` +
    `${image.height} and ${image.width} like the image; resize it without ` +
    "interpolation.");
}

function countPixels(mask) {
  let area = 0;
  for (let index = 0; index < mask.length; index++) area += mask[index];
  return area;
}

function defaultColor(objectId) {
  return DEFAULT_COLORS[(objectId - 1) % DEFAULT_COLORS.length];
}
