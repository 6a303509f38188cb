/** What the annotator's hand does on the canvas: clicks, strokes, choosing an object. */

import { Stroke, brushWidth } from "./brush.js";
import { say } from "./notice.js";
import { changed, page } from "./page.js";
import { listen } from "./pointer.js";
import { DOT } from "./scene.js";
import { settings } from "./settings.js";
import { isInside } from "./status.js";

const REACH = DOT + 4; // screen pixels around a click that still mean it

/** Makes the canvas sharp at any size and listens to the pointer. */
export function useCanvas(canvas) {
  const { camera } = page;
  new ResizeObserver(() => fillStage(canvas)).observe(canvas);
  listen(canvas, camera, {
    tool: () => page.tool,
    tap,
    begin,
    go,
    end,
    cancel,
    hover,
    moved: changed,
  });
}

/** The circle to draw for the brush, or null. */
export function brushAt() {
  if (!isBrush() || !page.pointer || !page.work) return null;
  return { ...page.pointer, width: brushWidth(settings.size) };
}

const isBrush = () => page.tool === "brush" || page.tool === "eraser";

function fillStage(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  canvas.getContext("2d").setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  page.camera.resize({ width, height });
  changed();
}

function tap(point, { right, shift, alt, ctrl, hand }) {
  const { work } = page;
  if (!work || !isInside(point, work.picture)) return;
  const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
  if (hand || ctrl) {
    const item = work.items.findLast(({ mask, hidden }) => !hidden && mask.has(x, y));
    if (item) work.select(item);
  } else if (alt) {
    const click = clickNear(point);
    if (click) work.deleteClick(work.current, work.current.clicks.indexOf(click));
  } else {
    click(x, y, (right || shift) !== page.positive);
  }
}

async function click(x, y, positive) {
  const { work } = page;
  if (!positive && !work.current) {
    say("A first click says what the object is; this one says what it is not.");
    return;
  }
  const start = performance.now();
  const model = await work.click(x, y, positive);
  if (model === undefined) return;
  page.latency = { total: performance.now() - start, model };
  changed();
}

function clickNear(point) {
  const near = ({ x, y }) =>
    Math.hypot(x + 0.5 - point.x, y + 0.5 - point.y) * page.camera.scale < REACH;
  return page.work?.current?.clicks.findLast(near) ?? null;
}

function hover(point, kind) {
  page.pointer = point;
  page.hovered = point && kind === "mouse" && !isBrush() ? clickNear(point) : null;
  changed();
}

function begin(point, { right }) {
  const { work, camera } = page;
  if (!work) return;
  const erases = (page.tool === "eraser") !== right;
  if (erases && !work.current) {
    say("There is nothing to erase; choose an object first.");
    return;
  }
  const width = brushWidth(settings.size) / camera.scale;
  const isFirst = !work.current;
  page.stroke = new Stroke(work.picture, work.target(), { erases, width });
  page.stroke.isFirst = isFirst;
  go(point);
}

function go(point) {
  page.stroke?.to(point);
  changed();
}

function end() {
  if (!page.stroke) return;
  const { item } = page.stroke;
  page.work.paint(item, page.stroke.end());
  page.stroke = null;
  changed();
}

/** A second finger came: the stroke was none. */
function cancel() {
  if (page.stroke?.isFirst) page.work.remove(page.stroke.item);
  page.stroke = null;
  changed();
}
