/** The objects of a session in order of creation, kept equal to those of the server.
 * Used by session.js. */

import { AnnotatedObject } from "./annotated_object.js";

export class ObjectCollection {
  /** @type {AnnotatedObject[]} in order of creation */
  items = [];
  /** @type {?AnnotatedObject} null: the next click creates an object */
  currentObject = null;

  /** @param {?number} objectId */
  find(objectId) {
    return this.items.find((object) => object.objectId === objectId) ?? null;
  }

  /** @param {AnnotatedObject} object */
  remove(object) {
    this.items = this.items.filter((candidate) => candidate !== object);
    if (this.currentObject === object) this.currentObject = null;
  }

  /**
   * Adds an object at its place in the order of creation.
   * @param {AnnotatedObject} object without an ID it is the last one
   */
  insert(object) {
    const nextIndex = this.items.findIndex(
      ({ objectId }) => object.objectId !== null && objectId > object.objectId,
    );
    this.items.splice(nextIndex < 0 ? this.items.length : nextIndex, 0, object);
  }

  /**
   * Takes over new and changed objects, and removes those that the server lacks.
   * @param {{object_ids: number[], objects: object[]}} serverState IDs of all objects,
   *   and those that have changed
   */
  mergeState({ object_ids: objectIds, objects }) {
    objects.forEach((serverObject) => this.mergeObject(serverObject));
    this.items = objectIds.map((objectId) => this.find(objectId)).filter(Boolean);
    if (!this.items.includes(this.currentObject)) this.currentObject = null;
  }

  /** @param {object} serverObject new or known object as the server describes it */
  mergeObject(serverObject) {
    let object = this.find(serverObject.object_id);
    if (!object) {
      object = new AnnotatedObject(serverObject.color);
      this.items.push(object);
    }
    const { name, color, finished } = serverObject;
    Object.assign(object, { name, color, finished });
    object.updateFromServer(serverObject);
  }
}
