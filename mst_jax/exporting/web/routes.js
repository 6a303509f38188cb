/** The local server: answers the requests of the page as the REST interface of the
 * annotation server does. Used by worker.js. */

import { exportSession } from "./files/exports.js";
import { LocalError } from "./files/local_error.js";
import { encodeGrayPng } from "./files/png.js";
import { encodeRunLengths } from "./files/run_lengths.js";
import { withLock } from "./store/locks.js";
import { currentSnapshot, describeObject } from "./store/object_history.js";

/** Pairs of method and path, and the method of `LocalServer` that answers them. */
const ROUTES = [
  ["GET /about", "about"],
  ["GET /labels", "listLabels"],
  ["PUT /labels", "replaceLabels"],
  ["POST /sessions", "openSession"],
  ["GET /sessions/:session", "readSession"],
  ["GET /sessions/:session/changes", "readChanges"],
  ["GET /sessions/:session/image", "readImage"],
  ["GET /sessions/:session/export", "exportSession"],
  ["POST /sessions/:session/label-map", "loadLabelMap"],
  ["POST /sessions/:session/objects", "addObject"],
  ["PATCH /sessions/:session/objects/:object", "updateObject"],
  ["DELETE /sessions/:session/objects/:object", "removeObject"],
  ["POST /sessions/:session/objects/:object/restore", "restoreObject"],
  ["POST /sessions/:session/objects/:object/clicks", "addClick"],
  ["DELETE /sessions/:session/objects/:object/clicks/:click", "removeClick"],
  ["GET /sessions/:session/objects/:object/mask", "readProbability"],
  ["PUT /sessions/:session/objects/:object/mask", "replaceMask"],
  ["POST /sessions/:session/objects/:object/:action", "changeHistory"],
].map(([route, handler]) => [
  new RegExp(`^${route.replace(/:(\w+)/g, "(?<$1>\\w+)")}$`), handler,
]);

/**
 * @typedef {object} LocalRequest
 * @property {string} method HTTP method
 * @property {string} path path with its query, as below /api
 * @property {string|Blob} [body] JSON or a file
 */

/**
 * @typedef {object} LocalResponse
 * @property {number} status HTTP status
 * @property {object} [json] body
 * @property {Blob} [file] body
 * @property {string} [fileName] name under which the browser saves the file
 */

export class LocalServer {
  /**
   * @param {ModelLoader} model
   * @param {object} parts store, labels, renderer and actions, see worker.js
   */
  constructor(model, { store, labels, renderer, actions }) {
    Object.assign(this, { model, store, labels, renderer, actions });
  }

  /**
   * @param {LocalRequest} request
   * @returns {Promise<LocalResponse>}
   */
  async respond({ method, path, body }) {
    try {
      const { pathname, searchParams } = new URL(path, "http://local");
      for (const [pattern, handler] of ROUTES) {
        const match = pattern.exec(`${method} ${pathname}`);
        if (!match) continue;
        const { session, object, click, action } = match.groups ?? {};
        return await this[handler]({
          sessionId: session, objectId: Number(object), clickIndex: Number(click),
          action, query: searchParams,
          body: typeof body === "string" ? JSON.parse(body) : body,
        });
      }
      throw new LocalError("This page has no such function.", 404);
    } catch (error) {
      const status = error instanceof LocalError ? error.status : 500;
      return { status, json: { error: error.message } };
    }
  }

  about() {
    const { model } = this;
    return { status: 200, json: {
      model: model.manifest.model.name,
      has_token_selection: false,
      has_image_folder: false,
      ready: model.backend !== null || model.error !== null,
      backend: model.backend,
      num_loaded_bytes: model.numLoadedBytes,
      num_model_bytes: model.numBytes,
    } };
  }

  async listLabels() {
    const { labels } = await this.labels.read();
    return { status: 200, json: { labels, is_fixed: false } };
  }

  async replaceLabels({ body }) {
    await this.labels.replace(body.labels);
    return this.listLabels();
  }

  async openSession({ query, body }) {
    const session = await this.actions.openImage(body, query.get("name") || "image");
    return { status: 201, json: describeSession(session) };
  }

  async readSession({ sessionId }) {
    const session = await this.store.getSession(sessionId);
    const changes = await this.#describeChanges(session, 0);
    return { status: 200, json: { ...describeSession(session), ...changes } };
  }

  async readChanges({ sessionId, query }) {
    const session = await this.store.getSession(sessionId);
    const revision = Number(query.get("since"));
    const json = await this.#describeChanges(
      session, revision <= session.revision ? revision : 0);
    return { status: 200, json };
  }

  async readImage({ sessionId }) {
    const { file } = await this.store.getImage(sessionId);
    return { status: 200, file };
  }

  async exportSession({ sessionId, query }) {
    const session = await this.store.getSession(sessionId);
    const objects = await this.store.getObjects(sessionId);
    const labeledMasks = [];
    for (const object of objects) {
      const snapshot = currentSnapshot(object);
      if (!snapshot.area) continue;
      const { mask } = await this.renderer.render(session, snapshot);
      labeledMasks.push({ object, mask });
    }
    const { file: image } = await this.store.getImage(sessionId);
    const categories = await this.labels.readCategories();
    const { name, file } = await exportSession(
      { session, file: image, labeledMasks, ...categories }, query.get("format"));
    return { status: 200, file, fileName: name };
  }

  async loadLabelMap(request) {
    const objects = await this.#change(request, "loadLabelMap", request.body);
    return { status: 201, json: { objects } };
  }

  async addObject(request) {
    const [object] = await this.#change(request, "addObject", request.body);
    return { status: 201, json: object };
  }

  async updateObject(request) {
    return this.#changeObject(request, "updateObject", request.body);
  }

  async removeObject(request) {
    await this.#change(request, "removeObject", request.objectId);
    return { status: 204 };
  }

  async restoreObject(request) {
    return this.#changeObject(request, "restoreObject");
  }

  async addClick(request) {
    // Waiting for the model does not count as time of the click.
    await this.model.loadEngine();
    return this.#changeObject(request, "addClick", request.body);
  }

  async removeClick(request) {
    await this.model.loadEngine();
    return this.#changeObject(request, "removeClick", request.clickIndex);
  }

  async replaceMask(request) {
    return this.#changeObject(request, "replaceMask", request.body);
  }

  async changeHistory(request) {
    if (!["undo", "redo", "reset"].includes(request.action)) {
      throw new LocalError("This page has no such function.", 404);
    }
    return this.#changeObject(request, "changeHistory", request.action);
  }

  /** Returns the probability map of an object as a gray PNG. */
  async readProbability({ sessionId, objectId }) {
    const session = await this.store.getSession(sessionId);
    const object = await this.store.getObject(sessionId, objectId);
    const { prob } = await this.renderer.render(session, currentSnapshot(object));
    const values = Uint8Array.from(prob, (value) => Math.round(255 * value));
    const data = await encodeGrayPng(values, session);
    return { status: 200, file: new Blob([data], { type: "image/png" }) };
  }

  async #changeObject(request, action, ...values) {
    const startTime = performance.now();
    const [object] = await this.#change(request, action, request.objectId, ...values);
    const elapsedMs = performance.now() - startTime;
    return { status: 200, json: { ...object, elapsed_ms: elapsedMs } };
  }

  /** Runs an action; actions on the same image run one after the other in all tabs. */
  #change({ sessionId }, action, ...values) {
    return withLock(`session ${sessionId}`, async () => {
      const session = await this.store.getSession(sessionId);
      const objects = await this.actions[action](session, ...values);
      return this.#describeObjects(session, objects);
    });
  }

  async #describeChanges(session, since) {
    const objects = await this.store.getObjects(session.sessionId);
    const changed = objects.filter(({ revision }) => revision > since);
    return {
      revision: session.revision,
      is_exported: true, // there are no files beside the database
      save_error: null,
      object_ids: objects.map(({ objectId }) => objectId),
      objects: await this.#describeObjects(session, changed),
    };
  }

  async #describeObjects(session, objects) {
    const { labels } = await this.labels.read();
    const descriptions = [];
    for (const object of objects) {
      const label = labels.find(({ id }) => id === object.labelId);
      const { mask } = await this.renderer.render(session, currentSnapshot(object));
      const counts = encodeRunLengths(mask, session);
      const runLengths = { size: [session.height, session.width], counts };
      descriptions.push(describeObject(object, label?.name ?? null, runLengths));
    }
    return descriptions;
  }
}

function describeSession({ sessionId, imageName, width, height }) {
  return {
    session_id: sessionId, image_name: imageName, folder_image: null, width, height,
    remarks: [], // the browser decodes all files in one way
  };
}
