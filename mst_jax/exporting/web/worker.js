/** Entry point of the web worker: runs the local server and the network, so that the
 * page stays responsive. Started by local_transport.js. */

import { ModelLoader } from "./engine/model_loader.js";
import { LocalServer } from "./routes.js";
import { Database } from "./store/database.js";
import { LabelStore } from "./store/label_store.js";
import { SessionActions } from "./store/session_actions.js";
import { SessionStore } from "./store/session_store.js";
import { SnapshotRenderer } from "./store/snapshot_renderer.js";

const BASE_URL = new URL("../", import.meta.url);

// Requests may arrive before the server is there: the promise keeps them.
const server = startServer();
addEventListener("message", async ({ data: { requestId, request } }) => {
  const response = await server.then((localServer) => localServer.respond(request))
    .catch((error) => ({ status: 503, json: { error: error.message } }));
  postMessage({ requestId, response });
});
server.then(reportStart, (error) => postMessage({ started: true, error: error.message }));

async function startServer() {
  const response = await fetch(new URL("manifest.json", BASE_URL), { cache: "no-cache" });
  if (!response.ok) throw new Error("The file manifest.json of the page is missing.");
  const model = new ModelLoader(await response.json(), BASE_URL);
  const database = await Database.open();
  const store = new SessionStore(database);
  const labels = new LabelStore(database);
  const renderer = new SnapshotRenderer(store);
  const actions =
    new SessionActions(store, labels, renderer, () => model.loadEngine());
  return new LocalServer(model, { store, labels, renderer, actions });
}

/** Sends the thumbnails of all images, and begins to load the model. */
async function reportStart({ model, store }) {
  const images = await store.getImages();
  const thumbnails = images.map(({ sessionId, thumbnail }) => [sessionId, thumbnail]);
  postMessage({ started: true, thumbnails });
  model.loadEngine().catch((error) => postMessage({ error: error.message }));
}
