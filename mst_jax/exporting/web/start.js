/** Entry point of the page without a server, loaded by index.html: replaces the server
 * by a web worker, and starts the annotation page. */

import { createElement, elementById } from "../static/page/dom.js";
import { showToast } from "../static/page/toast.js";
import { setTransport } from "../static/server/api_client.js";
import { ensureIsolation } from "./isolation.js";
import { LocalTransport } from "./local_transport.js";

await ensureIsolation();
const transport = new LocalTransport((message) => showToast(message));
setTransport(transport);
await transport.hasStarted;
describePage();
await import("../static/app.js");

/** Says below the invitation to open an image where the image goes: nowhere. */
function describePage() {
  const message = "The model runs in this browser. Images and masks stay on this device.";
  elementById("empty-state").append(createElement("p", {}, message));
}
