/** Buttons and the last line say how things stand. */

import { byId } from "./dom.js";
import { page } from "./page.js";
import { settings } from "./settings.js";

/** Shows tools, settings, what can be done, and whether all is saved. */
export function showStatus() {
  const { work, tool, about, camera } = page;
  const item = work?.current;
  const busy = item?.pending.length > 0;
  press("tool", tool);
  press("view", settings.view);
  press("sign", page.positive ? "positive" : "negative");
  enable("undo", work && (item ? item.can_undo || busy : work.items.length > 0));
  enable("redo", item?.can_redo && !busy);
  enable("reset", item && (item.clicks.length || !item.mask.empty));
  enable("finish", item && (busy || !item.mask.empty));
  enable("tokens", about.has_tokens);
  enable("loadMasks", work);
  byId("export").disabled = !work?.items.length;
  button("tokens").setAttribute("aria-pressed", String(settings.tokens));
  byId("empty").hidden = work !== null || page.opening !== null;
  byId("zoom").hidden = work === null;
  byId("legend").hidden = !(settings.tokens && page.extras.tokens);
  byId("canvas").dataset.tool = page.hovered && tool === "click" ? "dot" : tool;
  byId("percent").textContent = `${Math.round(camera.scale * 100)} %`;
  showLine();
  showProgress(about);
}

function showLine() {
  const { work, pointer, latency } = page;
  byId("name").textContent = work
    ? `${work.name}  ${work.picture.width} × ${work.picture.height}` : "";
  byId("place").textContent = pointer && work && isInside(pointer, work.picture)
    ? `${Math.floor(pointer.x)}, ${Math.floor(pointer.y)}` : "";
  byId("latency").textContent = latency ? `Mask in ${Math.round(latency.total)} ms` : "";
  const model = latency && Math.round(latency.model);
  byId("latency").title = latency ? `of which the server ${model} ms` : "";
  byId("saved").textContent = saved(work?.queue);
  byId("saved").classList.toggle("silent", work?.queue.silent ?? false);
}

function saved(queue) {
  if (!queue) return "";
  if (queue.silent) return `No answer; ${queue.waiting} kept here, trying again`;
  return queue.waiting ? `Saving ${queue.waiting} …` : "Saved";
}

/** What the annotator waits for: a picture, or the model, whose programs are compiled. */
function showProgress({ ready, compiled = [], to_compile: left = 0 }) {
  const total = compiled.length + left;
  const done = total ? compiled.length / total : 0;
  byId("progress").hidden = ready;
  byId("progress").firstElementChild.style.width = `${Math.max(3, 100 * done)}%`;
  const sentences = [
    page.opening && `Opening ${page.opening} …`,
    !ready && `The model gets ready: ${compiled.length} of ${total} steps`,
  ];
  byId("waiting").textContent = sentences.filter(Boolean).join("\n");
  byId("waiting").hidden = ready && !page.opening;
}

/** Whether a point lies on the picture. */
export function isInside({ x, y }, { width, height }) {
  return x >= 0 && y >= 0 && x < width && y < height;
}

function press(kind, value) {
  for (const each of document.querySelectorAll(`[data-${kind}]:not(canvas)`)) {
    each.setAttribute("aria-pressed", String(each.dataset[kind] === value));
  }
}

function button(name) {
  return document.querySelector(`[data-do="${name}"]`);
}

function enable(name, can) {
  button(name).disabled = !can;
}
