/** The list of objects, and the clicks of the current one. */

import { byId, iconButton, make } from "./dom.js";

const rows = new WeakMap(); // object -> its row, kept so that typing is not disturbed

/**
 * Shows the objects of a picture.
 * @param {Work|null} work
 * @param {{remove: (item) => void, hover: (click) => void}} on
 */
export function show(work, on) {
  const items = work?.items ?? [];
  byId("count").textContent = items.length || "";
  const shown = items.map((item) => {
    if (!rows.has(item)) rows.set(item, makeRow(work, item, on));
    return refresh(rows.get(item), work, item);
  });
  keepChildren(byId("objects"), shown);
  const names = new Set(items.map(({ name }) => name));
  byId("names").replaceChildren(...[...names].map((value) => make("option", { value })));
  showClicks(work, on);
}

/** Changes children only where they differ: what has the focus keeps it. */
function keepChildren(parent, children) {
  const same = parent.children.length === children.length &&
    children.every((child, index) => parent.children[index] === child);
  if (!same) parent.replaceChildren(...children);
}

function makeRow(work, item, on) {
  const colour = make("input", { type: "color", className: "colour", title: "Colour" });
  colour.onchange = () => work.recolour(item, colour.value);
  const name = make("input", { className: "name", spellcheck: false, autocomplete: "off" });
  name.setAttribute("list", "names");
  name.setAttribute("aria-label", "Name of the object");
  name.onfocus = () => work.select(item);
  name.onchange = () => {
    if (name.value.trim()) work.rename(item, name.value.trim());
    else name.value = item.name;
  };
  name.onkeydown = ({ key }) => {
    if (key === "Enter" || key === "Escape") byId("canvas").focus();
  };
  const area = make("output", { className: "area" });
  const eye = iconButton("eye", "Show or hide this object", (event) => {
    event.stopPropagation();
    item.hidden = !item.hidden;
    work.tell.change();
  });
  const gone = iconButton("close", "Delete this object", (event) => {
    event.stopPropagation();
    on.remove(item);
  });
  const tail = make("span", { className: "tail" }, area, eye, gone);
  const row = make("li", { onclick: () => work.select(item) }, colour, name, tail);
  return Object.assign(row, { parts: { colour, name, area, eye } });
}

function refresh(row, work, item) {
  const { colour, name, area, eye } = row.parts;
  const isCurrent = work.current === item;
  row.classList.toggle("hidden", item.hidden);
  const was = row.getAttribute("aria-current") === "true";
  row.setAttribute("aria-current", String(isCurrent));
  if (isCurrent && !was) row.scrollIntoView({ block: "nearest" });
  eye.setAttribute("aria-pressed", String(!item.hidden));
  colour.value = item.colour;
  if (document.activeElement !== name) name.value = item.name;
  name.placeholder = item.number ? `object ${item.number}` : "object";
  area.textContent = `${item.finished ? "✓ " : ""}${share(item, work.picture)}`;
  area.title = item.finished ? "finished" : "not finished";
  return row;
}

function share({ mask }, { width, height }) {
  if (mask.empty) return "";
  const percent = (100 * mask.area) / (width * height);
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

function showClicks(work, on) {
  const item = work?.current;
  const clicks = item?.clicks ?? [];
  const area = item ? share(item, work.picture) : "";
  byId("clickCount").textContent = [clicks.length || "", area].filter(Boolean).join(" · ");
  byId("clicks").replaceChildren(...clicks.map((click, index) => {
    const what = click.positive ? "Object" : "Not this";
    const label = `${what}, at ${Math.round(click.x)}, ${Math.round(click.y)}`;
    const gone = iconButton("close", `Delete click ${index + 1}`, () =>
      work.deleteClick(item, index));
    const sign = make("i", { className: click.positive ? "positive" : "negative" });
    return make("li", {
      title: label,
      onpointerenter: () => on.hover(click),
      onpointerleave: () => on.hover(null),
    }, sign, `${index + 1}`, gone);
  }));
}
