/** What the annotator can ask for, by the names that buttons and keys use. */

import { ask } from "./api.js";
import { byId } from "./dom.js";
import { say } from "./notice.js";
import { changed, page } from "./page.js";
import { set, settings, switchTheme } from "./settings.js";

const STEP = 1.25; // zoom of a key

/** @param {{turn: (step: number) => void}} pictures goes to another picture */
export function makeActions(pictures) {
  const { camera } = page;
  const tool = (name) => () => setTool(name);
  const view = (name) => () => change({ view: name });
  const move = (how) => () => {
    how();
    changed();
  };
  return {
    click: tool("click"),
    brush: tool("brush"),
    eraser: tool("eraser"),
    hand: tool("hand"),
    fill: view("fill"),
    outline: view("outline"),
    probability: view("probability"),
    sign: () => setSign(!page.positive),
    tokens: () => showTokens(),
    resize: (key) => resize(key === "]" ? 5 : -5),
    undo: () => page.work?.undo(),
    redo: () => page.work?.redo(),
    reset: () => page.work?.reset(),
    finish,
    remove: () => page.work?.current && remove(page.work.current),
    step: (key) => step(key === "J" ? 1 : -1),
    zoom: (key) => move(() => camera.zoom(key === "+" ? STEP : 1 / STEP))(),
    zoomIn: move(() => camera.zoom(STEP)),
    zoomOut: move(() => camera.zoom(1 / STEP)),
    fit: move(() => camera.fit()),
    actual: move(() => camera.zoom(1 / camera.scale / devicePixelRatio)),
    turn: (key) => pictures.turn(key === "PageDown" ? 1 : -1),
    open: () => byId("file").click(),
    loadMasks: () => byId("maskFile").click(),
    save: () => save("zip"),
    theme: switchTheme,
    help: () => byId("help").showModal(),
  };
}

export function setTool(name) {
  page.tool = name;
  changed();
}

export function setSign(positive) {
  page.positive = positive;
  changed();
}

/** Changes settings and shows what follows. */
export function change(settingsToChange) {
  set(settingsToChange);
  changed();
}

/** Deletes an object; for a moment it can be brought back. */
export function remove(item) {
  const name = item.name || "The object";
  const bringBack = page.work.remove(item);
  if (!item.mask.empty) say(`${name} is deleted.`, { label: "Bring back", run: bringBack });
}

/** Writes a file of all masks: form is labels, coco, coco_rle, numpy or zip. */
export async function save(form) {
  const { work } = page;
  if (!work?.items.length) return say("There is no object yet to save; click on one.");
  await work.queue.idle();
  try {
    const answer = await ask("GET", `/sessions/${work.id}/export?form=${form}`);
    const told = /filename\*=UTF-8''(.+)/.exec(answer.headers.get("Content-Disposition"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = told ? decodeURIComponent(told[1]) : form;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    say(error.message);
  }
}

function finish() {
  const item = page.work?.current;
  if (!item) return;
  if (item.mask.empty && !item.pending.length) {
    say("This object is empty; click on it before you finish it.");
  } else {
    page.work.finish();
  }
}

function step(by) {
  const { work } = page;
  if (!work?.items.length) return;
  const at = work.items.indexOf(work.current);
  const to = at < 0 && by < 0 ? work.items.length - 1 : at + by;
  work.select(work.items[Math.min(Math.max(to, 0), work.items.length - 1)]);
}

function resize(by) {
  const size = Math.min(100, Math.max(1, settings.size + by));
  byId("size").value = size;
  change({ size });
}

function showTokens() {
  if (!page.about.has_tokens) {
    return say("This model looks at everything; it chooses no tokens.");
  }
  change({ tokens: !settings.tokens });
  if (settings.tokens && !page.work?.current?.clicks.length) {
    say("Click on an object; then you see what the model looks at.");
  }
}
