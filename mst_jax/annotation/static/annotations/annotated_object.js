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

  /**
   * Takes over ID, clicks, history and mask from a response.
   * @param {object} serverObject object as the server describes it, maybe without a mask
   */
  updateFromServer(serverObject) {
    this.objectId = serverObject.object_id;
    this.version = serverObject.version;
    this.clicks = serverObject.clicks;
    this.canUndo = serverObject.can_undo;
    this.canRedo = serverObject.can_redo;
    this.name ||= serverObject.name;
    // While later strokes wait, the page already shows a newer mask than the server's.
    if (serverObject.mask && this.numPendingMasks < 2) {
      this.mask = decodeRunLengths(serverObject.mask);
    }
  }
}
