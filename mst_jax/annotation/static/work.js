/** What one annotator does to one picture; the server keeps it, change by change. */

import { ask, bitmap, json } from "./api.js";
import { nextColour } from "./colours.js";
import { NOTHING, fromRuns, toPng } from "./masks.js";
import { Queue } from "./queue.js";

/** One object; `number` and `version` are null until the server knows it. */
class Item {
  number = null;
  version = null;
  name = "";
  finished = false;
  clicks = [];
  /** Clicks that the server has not answered yet. */
  pending = [];
  can_undo = false;
  can_redo = false;
  mask = NOTHING;
  hidden = false;
  /** Masks painted here that the server has not taken yet. */
  painted = 0;

  constructor(colour) {
    this.colour = colour;
  }
}

export class Work {
  /** Objects in the order they were begun. */
  items = [];
  /** The object that clicks are for; null: the next click begins one. */
  current = null;

  /**
   * @param {object} state answer to GET /api/sessions/{s}
   * @param {ImageBitmap} picture
   * @param {{change: () => void, fail: (error: Error) => void}} tell
   */
  constructor(state, picture, tell) {
    Object.assign(this, { id: state.session, name: state.name, picture, tell });
    this.queue = new Queue(tell.change);
    this.#merge(state.objects);
    this.current = this.items.findLast((item) => !item.finished) ?? null;
  }

  /** Opens a session that the server knows, with all that was done before. */
  static async open(id, tell) {
    const state = await json("GET", `/sessions/${id}`);
    return new Work(state, await bitmap(`/sessions/${id}/picture`), tell);
  }

  /** The object that clicks and brush are for; begins one if there is none. */
  target() {
    return this.current ?? this.#begin(nextColour(this.items.map((item) => item.colour)));
  }

  /** Clicks. Resolves to the milliseconds that the model took, or undefined. */
  async click(x, y, positive) {
    const item = this.target();
    const dot = { x, y, positive };
    item.pending.push(dot);
    const answer = await this.#change(item, "POST", "/clicks", dot, () => {
      item.pending.splice(item.pending.indexOf(dot), 1);
    });
    return answer?.milliseconds;
  }

  deleteClick(item, index) {
    return this.#change(item, "DELETE", `/clicks/${index}`);
  }

  /** Takes the last step back; between two objects: goes back to the one before. */
  undo() {
    if (this.current) this.#change(this.current, "POST", "/undo");
    else this.select(this.items.at(-1) ?? null);
  }

  redo() {
    if (this.current) this.#change(this.current, "POST", "/redo");
  }

  reset() {
    if (this.current) this.#change(this.current, "POST", "/reset");
  }

  /** Shows a mask that was painted here at once, and sends it. */
  paint(item, mask) {
    item.mask = mask;
    if (mask.empty) return this.#change(item, "POST", "/reset");
    item.painted += 1;
    const png = toPng(mask, this.picture.width, this.picture.height);
    return this.#change(item, "PUT", "/mask", png, () => (item.painted -= 1));
  }

  /** Ends the current object; the next click begins another. */
  finish() {
    const item = this.current;
    if (!item) return;
    this.select(null);
    this.#describe(item, { finished: true });
  }

  /** Makes an object the current one; null: the next click begins one. */
  select(item) {
    this.current = item;
    this.tell.change();
  }

  rename(item, name) {
    this.#describe(item, { name });
  }

  recolour(item, colour) {
    this.#describe(item, { colour });
  }

  /** Deletes an object. Returns a function that brings it back, but for its clicks. */
  remove(item) {
    this.#drop(item);
    this.#send(async (again) => {
      if (item.number === null) return;
      const gone = ask("DELETE", this.#path(item));
      await (again ? gone.catch(() => {}) : gone);
    });
    return async () => {
      const back = this.#begin(item.colour);
      if (item.name) this.rename(back, item.name);
      if (!item.mask.empty) await this.paint(back, item.mask);
    };
  }

  /** Reads a label map, a PNG; each of its values above 0 becomes an object. */
  loadMasks(file) {
    return this.#send(async () => {
      this.#merge((await json("POST", `/sessions/${this.id}/masks`, file)).objects);
    });
  }

  /** Probability map of an object, grey. */
  probability(item) {
    return bitmap(`${this.#path(item)}/mask?form=probability`);
  }

  /** Boxes [x, y, width, height] that the model looks at: {fine, coarse}. */
  tokens(item) {
    return json("GET", `${this.#path(item)}/tokens`);
  }

  #path(item) {
    return `/sessions/${this.id}/objects/${item.number}`;
  }

  #begin(colour) {
    const item = new Item(colour);
    this.items.push(item);
    this.select(item);
    this.#send(async (again) => {
      if (again) {
        const { objects } = await json("GET", `/sessions/${this.id}`);
        const arrived = objects.find(({ number }) => !this.#numbered(number));
        if (arrived) return this.#take(item, arrived);
      }
      this.#take(item, await json("POST", `/sessions/${this.id}/objects`, { colour }));
    }).then(() => item.number ?? this.#drop(item));
    return item;
  }

  #drop(item) {
    this.items = this.items.filter((other) => other !== item);
    if (this.current === item) this.current = null;
    this.tell.change();
  }

  /** Changes what an object is called, its colour, or whether it is finished. */
  #describe(item, values) {
    Object.assign(item, values);
    this.tell.change();
    this.#send(async () => {
      if (item.number === null) return;
      await json("PATCH", this.#path(item), values);
      Object.assign(item, values);
    });
  }

  /** Changes the mask of an object; resolves to the server's answer. The body, or a
   * promise of it, waits for the requests before it, not for its own making. */
  #change(item, method, path, body, done = () => {}) {
    if (item.finished) this.#describe(item, { finished: false });
    this.tell.change();
    let before = null;
    return this.#send(async (again) => {
      if (again) await this.#refresh();
      else before = item.version;
      if (item.number === null || item.version !== before) return undefined;
      const answer = await json(method, this.#path(item) + path, await body);
      this.#take(item, answer);
      return answer;
    }, done);
  }

  /** Queues a task. A refusal is told, and then what the server knows counts. */
  async #send(task, done = () => {}) {
    try {
      return await this.queue.add(task);
    } catch (error) {
      this.tell.fail(error);
      await this.#refresh().catch(() => {});
    } finally {
      done();
      this.tell.change();
    }
  }

  async #refresh() {
    this.#merge((await json("GET", `/sessions/${this.id}`)).objects);
  }

  #merge(objects) {
    for (const object of objects) {
      let item = this.#numbered(object.number);
      if (!item) this.items.push((item = new Item(object.colour)));
      const { name, colour, finished } = object;
      Object.assign(item, { name, colour, finished });
      this.#take(item, object);
    }
  }

  /** Takes what the server answered about clicks and mask. */
  #take(item, object) {
    const { number, version, clicks, can_undo, can_redo } = object;
    Object.assign(item, { number, version, clicks, can_undo, can_redo });
    item.name ||= object.name;
    if (object.mask && item.painted < 2) item.mask = fromRuns(object.mask);
  }

  #numbered(number) {
    return this.items.find((item) => item.number === number);
  }
}
