/** Restores the masks of snapshots exactly as first predicted, without the network.
 * Used by session_actions.js, routes.js and exports.js. */

import { emptyState, pastePrediction, stateOfMask } from "../engine/click_engine.js";
import { decodeImage } from "../files/images.js";

const MAX_IMAGES = 2; // decoded images in memory

export class SnapshotRenderer {
  /** Promises of decoded images by session ID; the one used last is at the end. */
  #images = new Map();
  /** The last mask: a click needs the one before it, which is nearly always this one. */
  #cached = { key: null, state: null };

  /** @param {SessionStore} store */
  constructor(store) {
    this.store = store;
  }

  /**
   * @param {string} sessionId
   * @returns {Promise<PixelImage>} decoded image
   */
  getPixels(sessionId) {
    const pixels = this.#images.get(sessionId) ??
      this.store.getImage(sessionId).then(({ file }) => decodeImage(file));
    this.#images.delete(sessionId);
    this.#images.set(sessionId, pixels);
    pixels.catch(() => this.#images.delete(sessionId));
    if (this.#images.size > MAX_IMAGES) {
      this.#images.delete(this.#images.keys().next().value);
    }
    return pixels;
  }

  /**
   * @param {StoredSession} session
   * @param {ObjectSnapshot} snapshot
   * @returns {Promise<MaskState>} see zoom.js
   */
  async render(session, snapshot) {
    const key = keyOf(session, snapshot);
    if (this.#cached.key !== key) {
      this.#cached = { key, state: await this.#renderUncached(session, snapshot) };
    }
    return this.#cached.state;
  }

  /** Keeps a mask that was just predicted. */
  remember(session, snapshot, state) {
    this.#cached = { key: keyOf(session, snapshot), state };
  }

  /** The newest array decides: prediction, then initial mask, then nothing. */
  async #renderUncached(session, { predictionId, initialMaskId, roi }) {
    if (predictionId !== null) {
      const prob = await this.store.getPrediction(session.sessionId, predictionId);
      return pastePrediction({ prob, roi }, session);
    }
    if (initialMaskId !== null) {
      return stateOfMask(await this.store.getMask(session, initialMaskId), session);
    }
    return emptyState(session);
  }
}

/** Array IDs are never used again in a session, so they name the mask. */
function keyOf({ sessionId }, { predictionId, initialMaskId }) {
  return `${sessionId} ${predictionId} ${initialMaskId}`;
}
