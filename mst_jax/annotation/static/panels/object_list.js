/** The panel at the right: the objects of the image and the clicks of the current one.
 * Rows keep their elements while their object or click exists. Called by app.js. */

import { elementById } from "../page/dom.js";
import { state } from "../page/state.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { html, nothing, render } from "../vendor/lit-html/lit-html.js";

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
  render(repeat(objects, (object) => object,
    (object) => objectRow(session, object, handlers)), elementById("object-list"));
  // Labels, and names of other objects, are suggestions.
  const names = [...state.labels, ...objects].map(({ name }) => name);
  render([...new Set(names)].map((name) => html`<option value=${name}></option>`),
    elementById("object-names"));
  renderClickList(session, handlers);
}

/** Scrolls to the row of the current object. */
export function showCurrentObject() {
  const currentRow = elementById("object-list").querySelector("[aria-current]");
  currentRow?.scrollIntoView({ block: "nearest" });
}

function objectRow(session, object, handlers) {
  const isCurrent = object === session.currentObject;
  const placeholder = object.objectId ? `object ${object.objectId}` : "object";
  const name = object.name || placeholder;
  const toggleVisibility = stopping(() => {
    object.isHidden = !object.isHidden;
    session.callbacks.onChange();
  });
  const deleteObject = oncePerPress(() => handlers.onDelete(object));
  const status = object.finished ? "finished" : "not finished";
  return html`<li class=${object.isHidden ? "hidden-object" : ""}
      aria-current=${isCurrent ? "true" : nothing}
      @click=${() => session.selectObject(object)}>
    <input type="color" class="object-color" title="Color" aria-label="Color of ${name}"
      .value=${object.color} @click=${stopping(() => {})}
      @change=${({ target }) => session.updateObject(object, { color: target.value })}>
    ${nameInput(session, object, placeholder)}
    <span class="object-buttons">
      <output class="object-area" title=${status}>${object.finished ? "✓ " : ""}${
        formatArea(object, session.image)}</output>
      ${iconButton("eye", `Show ${name}`, toggleVisibility, !object.isHidden)}
      ${iconButton("close", `Delete ${name}`, deleteObject)}
    </span></li>`;
}

function nameInput(session, object, placeholder) {
  const renameObject = ({ target }) => {
    const name = target.value.trim();
    // The old name comes back if the new one is empty or the server rejects it.
    target.value = object.name;
    if (name && name !== object.name) session.updateObject(object, { name });
  };
  const leaveInput = ({ key, target }) => {
    if (key !== "Enter" && key !== "Escape") return;
    if (key === "Escape") target.value = object.name;
    elementById("canvas").focus();
  };
  // A name that is being typed stays: lit sets the value only when the name changes.
  return html`<input class="object-name" spellcheck="false" autocomplete="off"
    list="object-names" aria-label="Object name" maxlength="200"
    placeholder=${placeholder} .value=${object.name}
    @change=${renameObject} @keydown=${leaveInput}>`;
}

function renderClickList(session, handlers) {
  const object = session?.currentObject;
  const clicks = object?.clicks ?? [];
  const area = object ? formatArea(object, session.image) : "";
  elementById("click-count").textContent =
    [clicks.length || "", area].filter(Boolean).join(" · ");
  render(repeat(clicks, (click) => click, (click, index) => {
    const signName = click.positive ? "positive" : "negative";
    const deleteClick = oncePerPress(() => session.deleteClick(object, click));
    return html`<li title="${signName} click at ${Math.round(click.x)}, ${
        Math.round(click.y)}" @pointerenter=${() => handlers.onHoverClick(click)}
        @pointerleave=${() => handlers.onHoverClick(null)}>
      <i class=${signName}></i>${index + 1}
      ${iconButton("close", `Delete click ${index + 1}`, deleteClick)}</li>`;
  }), elementById("click-list"));
}

function iconButton(iconName, label, onClick, isPressed) {
  return html`<button class="icon-button" title=${label} aria-label=${label}
    aria-pressed=${isPressed ?? nothing} @click=${onClick}>
    <svg aria-hidden="true"><use href="#icon-${iconName}"></use></svg></button>`;
}

/** The row itself must not receive the event: it would select the object. */
function stopping(handleEvent) {
  return (event) => {
    event.stopPropagation();
    handleEvent(event);
    // After a mouse click (detail > 0) the keys belong to the canvas.
    const isMouse = event.detail > 0 && event.currentTarget.matches("button");
    if (isMouse) elementById("canvas").focus({ preventScroll: true });
  };
}

/** Ignores the second press of a double click: the next row has moved below it. */
function oncePerPress(handlePress) {
  return stopping((event) => {
    if (event.detail > 1) return;
    // A press with a key moves the focus to the row that takes the place of this one.
    if (event.detail === 0) focusNeighborRow(event.currentTarget);
    handlePress();
  });
}

function focusNeighborRow(button) {
  const row = button.closest("li");
  const neighborRow = row.nextElementSibling ?? row.previousElementSibling;
  const buttonIndex = [...row.querySelectorAll("button")].indexOf(button);
  const neighbor = neighborRow?.querySelectorAll("button")[buttonIndex];
  (neighbor ?? elementById("canvas")).focus({ preventScroll: true });
}

/** Formats the area of a mask as percent of the image; empty for an empty mask. */
function formatArea({ mask }, { width, height }) {
  if (mask.isEmpty) return "";
  const percent = (100 * mask.area) / (width * height);
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}
