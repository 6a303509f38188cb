/** The page begins: everything is put together here. */

import { change, makeActions, remove, save, setSign, setTool } from "./actions.js";
import { Refusal, json } from "./api.js";
import { byId, nameButtons } from "./dom.js";
import { follow } from "./extras.js";
import { brushAt, useCanvas } from "./hand.js";
import { explain, listen as listenToKeys } from "./keys.js";
import { say } from "./notice.js";
import { listenToFiles } from "./open.js";
import { changed, drawWith, page } from "./page.js";
import { show as showObjects } from "./panel.js";
import { Rail, sessionOf } from "./rail.js";
import { draw } from "./scene.js";
import { recall, remember, settings } from "./settings.js";
import { showStatus } from "./status.js";
import { Work } from "./work.js";

const WARMING = 700; // ms between two looks whether the model is ready
const canvas = byId("canvas");
const pen = canvas.getContext("2d");
const rail = new Rail((picture) => open(picture));
const tell = { change: changed, fail };

drawWith(() => {
  follow();
  draw(pen, { ...page, settings, brush: brushAt() });
  showObjects(page.work, { remove, hover });
  showStatus();
});
nameButtons();
explain(byId("keys"));
useCanvas(canvas);
listenToAll();
begin().catch(fail);

/** Shows what was open last, else the first picture of the folder. */
async function begin() {
  page.about = await json("GET", "/about");
  if (!page.about.ready) warm();
  await rail.start(page.about.folder);
  const named = new URLSearchParams(location.hash.slice(1)).get("s");
  const id = named ?? recall("session", null);
  const last = id && rail.ofSession(id, "");
  await open(last || rail.pictures[0]);
}

async function warm() {
  while (!page.about.ready) {
    await new Promise((wake) => setTimeout(wake, WARMING));
    page.about = await json("GET", "/about").catch(() => page.about);
    changed();
  }
}

/** Goes to a picture of the rail, with all that was done to it before. */
async function open(picture) {
  if (!picture || picture === rail.current) return;
  page.opening = picture.name || "the picture";
  rail.current = picture;
  changed();
  await page.work?.queue.idle();
  try {
    const work = await workOn(picture);
    if (rail.current !== picture) return; // the annotator went on
    arrive(work, picture);
  } catch (error) {
    fail(error);
    if (rail.current === picture) rail.current = null;
  } finally {
    page.opening = null;
    rail.show();
    changed();
  }
}

async function workOn(picture) {
  const before = picture.session;
  try {
    return await Work.open(await sessionOf(picture), tell);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404 || !before) throw error;
    rail.forget(before);
    if (picture.folder || picture.file) return Work.open(await sessionOf(picture), tell);
    throw new Refusal("That session is over; open the picture again.", 404);
  }
}

function arrive(work, picture) {
  Object.assign(page, { work, stroke: null, hovered: null, latency: null, extras: {} });
  page.camera.open(work.picture);
  picture.name = work.name;
  rail.keep();
  remember("session", work.id);
  history.replaceState(null, "", `${location.pathname}#s=${work.id}`);
  document.title = work.name;
}

function fail(error) {
  say(error.message);
  if (!(error instanceof Refusal)) console.warn(error);
}

function hover(click) {
  page.hovered = click;
  changed();
}

function listenToAll() {
  const actions = makeActions({ turn: (step) => open(rail.beside(step)) });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { do: name, tool, view, sign, export: form } = button.dataset;
    if (name) actions[name]();
    if (tool) setTool(tool);
    if (view) change({ view });
    if (sign) setSign(sign === "positive");
    if (form) save(form);
    if (button.closest("[popover]")) byId("menu").hidePopover();
    // After a click of the mouse the space bar belongs to the picture again.
    if (event.detail > 0 && !button.hasAttribute("popovertarget") && name !== "help") {
      canvas.focus({ preventScroll: true });
    }
  });
  for (const name of ["opacity", "size"]) {
    byId(name).value = settings[name];
    byId(name).addEventListener("input", ({ target }) =>
      change({ [name]: Number(target.value) }));
    byId(name).addEventListener("pointerup", () => canvas.focus({ preventScroll: true }));
  }
  const bare = (on) => {
    page.bare = on;
    changed();
  };
  listenToKeys(actions, { tool: () => page.tool, setTool, bare });
  listenToFiles({
    pictures: (files) => open(rail.add(files)),
    masks: (file) => page.work.loadMasks(file),
    canLoadMasks: () => page.work !== null,
  });
  addEventListener("beforeunload", (event) => {
    if (page.work?.queue.waiting) event.preventDefault();
  });
}
