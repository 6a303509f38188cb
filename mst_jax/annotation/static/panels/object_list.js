/** The panel at the right: the objects of the image and the clicks of the current one.
 * Called by app.js for every frame. */

import { createElement, createIconButton, elementById } from "../page/dom.js";

/** Rows by object; they are kept between frames, so that typing is not interrupted. */
const objectRows = new WeakMap();

/**
 * Updates the panel.
 * @param {?AnnotationSession} session
 * @param {object} handlers
 * @param {(object: AnnotatedObject) => void} handlers.onDelete
 * @param {(click: ?object) => void} handlers.onHoverClick null: the pointer has left it
 */
export function renderObjectList(session, handlers) {
  const objects = session?.objects ?? [];
  elementById("object-count").textContent = objects.length || "";
  // 1. One row for each object.
  const visibleRows = objects.map((object) => {
    if (!objectRows.has(object)) {
      objectRows.set(object, createObjectRow(session, object, handlers));
    }
    return updateObjectRow(objectRows.get(object), session, object);
  });
  replaceChangedChildren(elementById("object-list"), visibleRows);
  // 2. Names of all objects as suggestions for the others.
  const objectNames = [...new Set(objects.map(({ name }) => name))];
  const options = objectNames.map((value) => createElement("option", { value }));
  elementById("object-names").replaceChildren(...options);
  renderClickList(session, handlers);
}

/** Replaces children only if they differ: a replaced element would lose the focus. */
function replaceChangedChildren(parent, children) {
  const isUnchanged = parent.children.length === children.length &&
    children.every((child, index) => parent.children[index] === child);
  if (!isUnchanged) parent.replaceChildren(...children);
}

function createObjectRow(session, object, handlers) {
  const colorInput = createElement("input", {
    type: "color", className: "object-color", title: "Color",
  });
  colorInput.onchange = () => session.recolorObject(object, colorInput.value);
  const nameInput = createNameInput(session, object);
  const areaOutput = createElement("output", { className: "object-area" });
  // Buttons stop the event: a click on the row itself selects the object.
  const toggleVisibility = (event) => {
    event.stopPropagation();
    object.isHidden = !object.isHidden;
    session.callbacks.onChange();
  };
  const deleteObject = (event) => {
    event.stopPropagation();
    handlers.onDelete(object);
  };
  const visibilityButton = createIconButton(
    "eye", "Show or hide this object", toggleVisibility,
  );
  const deleteButton = createIconButton("close", "Delete this object", deleteObject);
  const buttons = createElement(
    "span", { className: "object-buttons" }, areaOutput, visibilityButton, deleteButton,
  );
  const onclick = () => session.selectObject(object);
  const row = createElement("li", { onclick }, colorInput, nameInput, buttons);
  const widgets = { colorInput, nameInput, areaOutput, visibilityButton };
  return Object.assign(row, { widgets });
}

function createNameInput(session, object) {
  const nameInput = createElement("input", {
    className: "object-name", spellcheck: false, autocomplete: "off",
  });
  nameInput.setAttribute("list", "object-names");
  nameInput.setAttribute("aria-label", "Object name");
  nameInput.onfocus = () => session.selectObject(object);
  nameInput.onchange = () => {
    const name = nameInput.value.trim();
    // An empty name is invalid; the old one comes back.
    if (name) session.renameObject(object, name);
    else nameInput.value = object.name;
  };
  nameInput.onkeydown = ({ key }) => {
    if (key === "Enter" || key === "Escape") elementById("canvas").focus();
  };
  return nameInput;
}

function updateObjectRow(row, session, object) {
  const { colorInput, nameInput, areaOutput, visibilityButton } = row.widgets;
  // 1. Highlight the current object, and scroll to it once.
  const isCurrent = session.currentObject === object;
  const wasCurrent = row.getAttribute("aria-current") === "true";
  row.classList.toggle("hidden-object", object.isHidden);
  row.setAttribute("aria-current", String(isCurrent));
  if (isCurrent && !wasCurrent) row.scrollIntoView({ block: "nearest" });
  // 2. Values; a name that is being typed is left alone.
  visibilityButton.setAttribute("aria-pressed", String(!object.isHidden));
  colorInput.value = object.color;
  if (document.activeElement !== nameInput) nameInput.value = object.name;
  nameInput.placeholder = object.objectId ? `object ${object.objectId}` : "object";
  const checkMark = object.finished ? "✓ " : "";
  areaOutput.textContent = `${checkMark}${formatArea(object, session.image)}`;
  areaOutput.title = object.finished ? "finished" : "not finished";
  return row;
}

/** Formats the area of a mask as percent of the image; empty for an empty mask. */
function formatArea({ mask }, { width, height }) {
  if (mask.isEmpty) return "";
  const percent = (100 * mask.area) / (width * height);
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

function renderClickList(session, handlers) {
  const object = session?.currentObject;
  const clicks = object?.clicks ?? [];
  const area = object ? formatArea(object, session.image) : "";
  const summaryParts = [clicks.length || "", area].filter(Boolean);
  elementById("click-count").textContent = summaryParts.join(" · ");
  const listItems = clicks.map((click, index) => {
    const signName = click.positive ? "Positive" : "Negative";
    const position = `${Math.round(click.x)}, ${Math.round(click.y)}`;
    const deleteButton = createIconButton("close", `Delete click ${index + 1}`, () =>
      session.deleteClick(object, index));
    const signIcon = createElement("i", {
      className: click.positive ? "positive" : "negative",
    });
    return createElement("li", {
      title: `${signName} click at ${position}`,
      onpointerenter: () => handlers.onHoverClick(click),
      onpointerleave: () => handlers.onHoverClick(null),
    }, signIcon, `${index + 1}`, deleteButton);
  });
  elementById("click-list").replaceChildren(...listItems);
}
