/** The page's copy of one annotated object. Created and changed by session.js; read by
 * render.js, object_list.js and the canvas modules. */

import { EMPTY_MASK, decodeRunLengths } from "../drawing/binary_mask.js";

export class AnnotatedObject {
  /** @type {?number} null until the server has created the object */
  objectId = null;
  /** @type {?number} grows with every change of the mask on the server */
  version = null;
  name = "";
  finished = false;
  /** Clicks {x, y, positive} that the server has applied, image pixels. */
  clicks = [];
  /** Clicks that wait for the server's response. */
  pendingClicks = [];
  canUndo = false;
  canRedo = false;
  mask = EMPTY_MASK;
  isHidden = false;
  /** Number of painted masks that wait for the server's response. */
  numPendingMasks = 0;

  /** @param {string} color "#rrggbb" */
  constructor(color) {
    this.color = color;
  }

  /** Whether there is nothing to lose: no mask, no click, nothing on its way. */
  get isEmpty() {
    const numClicks = this.clicks.length + this.pendingClicks.length;
    return this.mask.isEmpty && numClicks + this.numPendingMasks === 0;
  }

  /**
   * Takes over ID, clicks, history and mask from a response.
   * @param {object} serverObject as the server describes it, maybe without a mask
   */
  updateFromServer(serverObject) {
    const hasNewMask = serverObject.mask && serverObject.version !== this.version;
    this.objectId = serverObject.object_id;
    this.version = serverObject.version;
    this.clicks = reuseClicks(this, serverObject.clicks);
    this.canUndo = serverObject.can_undo;
    this.canRedo = serverObject.can_redo;
    this.name ||= serverObject.name;
    // While later strokes wait, the page already shows a newer mask than the server's.
    if (hasNewMask && this.numPendingMasks < 2) {
      this.mask = decodeRunLengths(serverObject.mask);
    }
  }
}

/** Keeps the click objects that the page knows, so that lists keep their rows. */
function reuseClicks({ clicks, pendingClicks }, newClicks) {
  const unusedClicks = [...clicks, ...pendingClicks];
  return newClicks.map((newClick) => {
    const index = unusedClicks.findIndex((click) =>
      click.x === newClick.x && click.y === newClick.y &&
      click.positive === newClick.positive);
    return index < 0 ? newClick : unusedClicks.splice(index, 1)[0];
  });
}
