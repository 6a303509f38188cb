/** The labels of the objects: buttons with the keys 1 to 9, and a dialog that edits the
 * list. Used by app.js. */

import { elementById } from "../page/dom.js";
import { requestRender, state } from "../page/state.js";
import { requestJson } from "../server/api_client.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { html, nothing, render } from "../vendor/lit-html/lit-html.js";

const NUM_KEYS = 9;

/** Loads the labels of the server into `state`. */
export async function loadLabels() {
  const { labels, is_fixed: isFixed } = await requestJson("GET", "/labels");
  Object.assign(state, { labels, labelsAreFixed: isFixed });
  requestRender();
}

/**
 * Draws the buttons of the labels; the one of the current object is pressed.
 * @param {(label: string) => void} onSelect
 */
export function renderLabelList(onSelect) {
  const { labels, session, activeLabel } = state;
  const pressedLabel = session?.currentObject?.name || activeLabel;
  elementById("edit-labels").hidden = state.labelsAreFixed;
  render(repeat(labels, ({ id }) => id, ({ name }, index) => html`<li>
    <button aria-pressed=${name === pressedLabel} title=${name}
      @click=${() => onSelect(name)}>${
        index < NUM_KEYS ? html`<kbd>${index + 1}</kbd>` : nothing
      }<span>${name}</span></button></li>`), elementById("label-list"));
  elementById("no-labels").hidden = labels.length > 0;
}

/** Opens the dialog with a copy of the labels; nothing changes before it is saved. */
export function openLabelDialog() {
  const dialog = elementById("label-dialog");
  const rows = state.labels.map((label) => ({ ...label }));
  if (!rows.length) rows.push({ name: "" });
  elementById("label-error").textContent = "";
  const renderRows = () => renderLabelRows(rows, renderRows);
  renderRows();
  elementById("add-label").onclick = () => {
    rows.push({ name: "" });
    renderRows();
    elementById("label-rows").querySelector("li:last-child input").focus();
  };
  dialog.onsubmit = (event) => {
    if (event.submitter?.value !== "save") return;
    // The dialog stays open until the server has accepted the labels.
    event.preventDefault();
    saveLabels(rows, dialog);
  };
  dialog.showModal();
}

function renderLabelRows(rows, onChange) {
  const removeRow = (row) => {
    rows.splice(rows.indexOf(row), 1);
    onChange();
  };
  render(repeat(rows, (row) => row, (row, index) => html`<li>
    <kbd>${index < NUM_KEYS ? index + 1 : " "}</kbd>
    <input aria-label="Label ${index + 1}" maxlength="200" .value=${row.name}
      @input=${({ target }) => (row.name = target.value)}>
    <button type="button" class="icon-button" title="Remove this label"
      aria-label="Remove label ${index + 1}" @click=${() => removeRow(row)}>
      <svg aria-hidden="true"><use href="#icon-close"></use></svg></button></li>`),
  elementById("label-rows"));
}

async function saveLabels(rows, dialog) {
  const labels = rows.map(({ id, name }) => ({ ...(id && { id }), name: name.trim() }))
    .filter(({ name }) => name);
  try {
    await requestJson("PUT", "/labels", { labels });
    dialog.close();
    await loadLabels();
  } catch (error) {
    // Not a toast: the dialog would cover it.
    elementById("label-error").textContent = error.message;
  }
}
