/** Decides what undo and redo revert: a deletion of an object, or a change of the
 * current object, whose own history is the server's. Used by session.js. */

export class ActionHistory {
  /** Deleted objects, the last one at the end. */
  #deletedObjects = [];
  #lastActionDeleted = false;
  /** @type {?AnnotatedObject} object that the last action has restored */
  #restoredObject = null;

  /** An object was changed; undo starts with this change. */
  recordChange() {
    this.#lastActionDeleted = false;
    this.#restoredObject = null;
  }

  /** @param {AnnotatedObject} object */
  recordDeletion(object) {
    this.#deletedObjects.push(object);
    this.#lastActionDeleted = true;
    this.#restoredObject = null;
  }

  /** @returns {AnnotatedObject} the object to restore */
  takeDeletedObject() {
    const object = this.#deletedObjects.pop();
    this.#lastActionDeleted = false;
    this.#restoredObject = object;
    return object;
  }

  /**
   * @param {ObjectCollection} collection
   * @param {boolean} isIdle whether no action waits for its response
   * @returns {"restore"|"undo"|"select"|null} null: there is nothing to undo
   */
  nextUndo({ currentObject: object, items }, isIdle) {
    const canUndoObject = object !== null && (object.canUndo || !isIdle);
    const hasDeletion = this.#deletedObjects.length > 0;
    if (hasDeletion && this.#lastActionDeleted) return "restore";
    if (canUndoObject) return "undo";
    if (object === null && items.length) return "select";
    return hasDeletion ? "restore" : null;
  }

  /**
   * @param {?AnnotatedObject} object the current object
   * @returns {"delete"|"redo"|null} null: there is nothing to redo
   */
  nextRedo(object) {
    if (object === null) return null;
    if (this.#restoredObject === object) return "delete";
    return object.canRedo ? "redo" : null;
  }
}
