/** Downloads the probability map and the token boxes of the current object while they
 * are shown. Called by app.js for every frame. */

import { colorizeProbability } from "../drawing/render.js";
import { settings } from "./settings.js";
import { requestRender, state } from "./state.js";

/** The last request of each overlay: {object, version}, or null. */
const lastRequests = { probability: null, tokenBoxes: null };

/** Requests the overlays that the latest mask of the current object lacks. */
export function updateOverlays() {
  const { session, serverInfo } = state;
  const object = session?.currentObject;
  const isOnServer = object && object.version !== null;
  const showsProbability = settings.maskView === "probability" && !object?.mask.isEmpty;
  updateOverlay("probability", isOnServer && showsProbability ? object : null,
    async () => {
      const grayMap = await session.client.fetchProbability(object.objectId);
      return colorizeProbability(grayMap);
    });
  const showsTokens =
    settings.showTokens && serverInfo.has_token_selection && object?.clicks.length;
  updateOverlay("tokenBoxes", isOnServer && showsTokens ? object : null,
    () => session.client.fetchTokenBoxes(object.objectId));
}

async function updateOverlay(name, object, fetchOverlay) {
  if (object === null) {
    lastRequests[name] = state.overlays[name] = null;
    return;
  }
  const lastRequest = lastRequests[name];
  const isSameObject = lastRequest?.object === object;
  if (isSameObject && lastRequest.version === object.version) return;
  // The old overlay of the same object stays visible until the new one arrives.
  if (!isSameObject) state.overlays[name] = null;
  const request = { object, version: object.version };
  lastRequests[name] = request;
  const overlay = await fetchOverlay().catch(() => null);
  // A later request has replaced this one.
  if (lastRequests[name] !== request) return;
  state.overlays[name] = overlay;
  requestRender();
}
