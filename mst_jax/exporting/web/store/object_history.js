/** Objects with their history, as plain values for IndexedDB. Each function returns a
 * new object; undo and redo only move between snapshots. Used by session_actions.js. */

import { NO_ROI } from "../engine/zoom.js";

const MAX_SNAPSHOTS = 200; // that undo and redo can reach

/**
 * @typedef {object} ObjectSnapshot state of an object after a change of its mask
 * @property {{x: number, y: number, positive: boolean}[]} clicks in order
 * @property {?number} initialMaskId array of the mask that the clicks correct
 * @property {?number} predictionId array of the network's last prediction
 * @property {number[]} roi region of interest of the last prediction
 * @property {number} area number of pixels of the mask
 */

/** @type {ObjectSnapshot} the state before the first click */
export const EMPTY_SNAPSHOT = {
  clicks: [], initialMaskId: null, predictionId: null, roi: NO_ROI, area: 0,
};

/**
 * @typedef {object} StoredObject
 * @property {string} sessionId
 * @property {number} objectId from 1; never reused in a session
 * @property {?number} labelId
 * @property {string} color "#rrggbb"
 * @property {boolean} finished
 * @property {boolean} isDeleted
 * @property {ObjectSnapshot[]} snapshots oldest first, at least one
 * @property {number} currentIndex of the current snapshot; the later ones are undone
 * @property {number} version grows with every change of the mask
 * @property {number} revision of the session, at the last change of the object
 */

/** @returns {StoredObject} without clicks */
export function makeObject(sessionId, objectId, labelId, color) {
  return {
    sessionId, objectId, labelId, color, finished: false, isDeleted: false,
    snapshots: [EMPTY_SNAPSHOT], currentIndex: 0, version: 0, revision: 0,
  };
}

/** @returns {ObjectSnapshot} */
export function currentSnapshot({ snapshots, currentIndex }) {
  return snapshots[currentIndex];
}

/**
 * Appends a snapshot; undone snapshots and the oldest ones are dropped.
 * @param {StoredObject} object
 * @param {ObjectSnapshot} snapshot
 * @returns {StoredObject}
 */
export function appendSnapshot(object, snapshot) {
  const kept = object.snapshots.slice(0, object.currentIndex + 1);
  const snapshots = [...kept, snapshot].slice(-MAX_SNAPSHOTS);
  return changeMask(object, { snapshots, currentIndex: snapshots.length - 1 });
}

/** @returns {StoredObject} the object itself if there is nothing to undo */
export function undo(object) {
  const { currentIndex } = object;
  return currentIndex > 0 ? changeMask(object, { currentIndex: currentIndex - 1 })
    : object;
}

/** @returns {StoredObject} the object itself if there is nothing to redo */
export function redo(object) {
  const nextIndex = object.currentIndex + 1;
  return nextIndex < object.snapshots.length
    ? changeMask(object, { currentIndex: nextIndex }) : object;
}

/** @returns {Set<number>} IDs of all arrays that the snapshots need */
export function arrayIdsOf({ snapshots }) {
  const arrayIds = snapshots.flatMap(
    ({ initialMaskId, predictionId }) => [initialMaskId, predictionId]);
  return new Set(arrayIds.filter((arrayId) => arrayId !== null));
}

/**
 * Describes an object as the annotation server does.
 * @param {StoredObject} object
 * @param {?string} label
 * @param {{size: [number, number], counts: number[]}} mask run lengths
 * @returns {ServerObject} see static/server/session_client.js
 */
export function describeObject(object, label, mask) {
  const { clicks, area } = currentSnapshot(object);
  return {
    object_id: object.objectId,
    name: label ?? `object ${object.objectId}`,
    category_id: object.labelId,
    color: object.color,
    clicks,
    finished: object.finished,
    can_undo: object.currentIndex > 0,
    can_redo: object.currentIndex + 1 < object.snapshots.length,
    area,
    version: object.version,
    revision: object.revision,
    saved_version: object.finished ? object.version : null,
    mask,
  };
}

/** Every change of the history is a change of the mask, so the version grows. */
function changeMask(object, changes) {
  return { ...object, ...changes, version: object.version + 1 };
}
