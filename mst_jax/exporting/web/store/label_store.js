/** The labels of the page: names that objects carry, with stable category IDs. Used by
 * session_actions.js and routes.js. */

import { LocalError } from "../files/local_error.js";
import { withLock } from "./locks.js";

const RECORD_KEY = "labels";
/** COCO category of the objects without a label. */
export const UNLABELED_NAME = "object";

/**
 * @typedef {object} Label
 * @property {number} id category ID in COCO files; never used for another label
 * @property {string} name
 */

export class LabelStore {
  /** @param {Database} database */
  constructor(database) {
    this.database = database;
  }

  /** @returns {Promise<{labels: Label[], unlabeledId: ?number, nextId: number}>} */
  async read() {
    const record = await this.database.get("labels", RECORD_KEY);
    return record ?? { key: RECORD_KEY, labels: [], unlabeledId: null, nextId: 1 };
  }

  /**
   * Returns all categories of COCO files: the labels, and one for objects without.
   * @returns {Promise<{categories: Label[], unlabeledId: number}>}
   */
  readCategories() {
    return withLock(RECORD_KEY, () => this.#readCategories());
  }

  /**
   * Returns the ID of a label; adds the label if it is new.
   * @param {string} name
   * @returns {Promise<number>}
   */
  choose(name) {
    return withLock(RECORD_KEY, () => this.#choose(name));
  }

  /**
   * Replaces the list. A known ID with another name renames the label.
   * @param {{id?: number, name: string}[]} newLabels without an ID: added
   */
  replace(newLabels) {
    return withLock(RECORD_KEY, () => this.#replace(newLabels));
  }

  async #readCategories() {
    const record = await this.read();
    const sameName = record.labels.find(({ name }) => name === UNLABELED_NAME);
    if (sameName) return { categories: record.labels, unlabeledId: sameName.id };
    // Once given, the ID stays, so that all files agree.
    const unlabeledId = record.unlabeledId ?? record.nextId;
    if (record.unlabeledId === null) {
      const nextId = unlabeledId + 1;
      await this.database.write({ labels: [{ ...record, unlabeledId, nextId }] });
    }
    const categories = [...record.labels, { id: unlabeledId, name: UNLABELED_NAME }];
    return { categories: categories.sort((a, b) => a.id - b.id), unlabeledId };
  }

  async #choose(name) {
    const record = await this.read();
    const known = record.labels.find((label) => label.name === name);
    if (known) return known.id;
    const added = { id: record.nextId, name };
    await this.database.write({ labels: [
      { ...record, labels: [...record.labels, added], nextId: added.id + 1 },
    ] });
    return added.id;
  }

  async #replace(newLabels) {
    const record = await this.read();
    const names = newLabels.map(({ name }) => name);
    if (new Set(names).size < names.length) {
      throw new LocalError("A label occurs twice, expected different ones.");
    }
    const keptIds = new Set(newLabels.map(({ id }) => id));
    const objects = await this.database.getAll("objects");
    const usedIds = new Set(
      objects.filter(({ isDeleted }) => !isDeleted).map(({ labelId }) => labelId));
    const removed = record.labels.find(({ id }) => !keptIds.has(id) && usedIds.has(id));
    if (removed) {
      throw new LocalError(
        `Objects have the label "${removed.name}"; give them another label first.`, 409);
    }
    let { nextId } = record;
    const labels = newLabels.map(({ id, name }) => ({ id: id ?? nextId++, name }));
    await this.database.write({ labels: [{ ...record, labels, nextId }] });
  }
}
