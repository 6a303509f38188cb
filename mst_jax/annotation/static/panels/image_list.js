/** The panel at the left: search, filter and the list of images. Only the rows that are
 * visible exist, so that long lists stay fast. Used by app.js. */

import { elementById } from "../page/dom.js";
import { urlOf } from "../server/api_client.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { html, nothing, render } from "../vendor/lit-html/lit-html.js";

const ROW_HEIGHT = 56; // CSS pixels, as in panels.css
const NUM_EXTRA_ROWS = 6; // above and below the visible ones
const SEARCH_DELAY_MS = 200; // after the last key

const STATUS_NAMES = {
  done: "Done", in_progress: "In progress", empty: "Empty", failed: "Cannot be shown",
};

export class ImageList {
  /**
   * @param {ImageIndex} index the images
   * @param {(entry: ImageEntry) => void} onSelect called when an image is clicked
   */
  constructor(index, onSelect) {
    this.index = index;
    this.onSelect = onSelect;
    this.scrollArea = elementById("image-scroll");
    this.scrollArea.addEventListener("scroll", () => this.render());
    new ResizeObserver(() => this.render()).observe(this.scrollArea);
    this.#connectFilter();
  }

  /** Draws the rows that are visible. */
  render() {
    const { scrollTop, clientHeight } = this.scrollArea;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - NUM_EXTRA_ROWS);
    const numRows = Math.ceil(clientHeight / ROW_HEIGHT) + 2 * NUM_EXTRA_ROWS;
    const last = Math.min(this.index.length, first + numRows);
    const rows = [];
    for (let position = first; position < last; position++) {
      rows.push({ position, entry: this.index.entryAt(position) });
    }
    const list = elementById("image-list");
    list.style.height = `${this.index.length * ROW_HEIGHT}px`;
    render(repeat(rows, ({ entry, position }) => entry ?? position,
      (row) => this.#rowTemplate(row)), list);
    elementById("no-images").hidden = this.index.length > 0 || !this.#isFiltered;
    this.#renderCounts();
  }

  /** Scrolls to the current image. */
  showCurrent() {
    const position = this.index.positionOf(this.index.currentEntry);
    const { scrollTop, clientHeight } = this.scrollArea;
    const rowTop = position * ROW_HEIGHT;
    const rowBottom = rowTop + ROW_HEIGHT;
    const isVisible = rowTop >= scrollTop && rowBottom <= scrollTop + clientHeight;
    if (position >= 0 && !isVisible) {
      this.scrollArea.scrollTop = rowTop - (clientHeight - ROW_HEIGHT) / 2;
    }
    this.render();
  }

  /** Position in the list of the first row that is visible. */
  get firstVisible() {
    return Math.floor(this.scrollArea.scrollTop / ROW_HEIGHT);
  }

  get #isFiltered() {
    return this.index.filter.status !== "" || this.index.filter.search !== "";
  }

  #rowTemplate({ entry, position }) {
    const style = `top: ${position * ROW_HEIGHT}px`;
    if (!entry) return html`<li class="image-row" style=${style}></li>`;
    const isCurrent = entry === this.index.currentEntry;
    const isFailed = entry.status === "failed";
    const image = isFailed || !thumbnailUrl(entry)
      ? html`<i class="thumbnail"></i>`
      : html`<img class="thumbnail" alt="" src=${thumbnailUrl(entry)}
          @error=${({ target }) => (target.style.visibility = "hidden")}>`;
    return html`<li class="image-row" style=${style}
        aria-setsize=${this.index.length} aria-posinset=${position + 1}>
      <button title=${entry.name} aria-current=${isCurrent ? "true" : nothing}
          data-status=${entry.status ?? nothing} @click=${() => this.onSelect(entry)}>
        ${image}<span class="image-name">${entry.name || "image"}</span>
        <small>${describeEntry(entry)}</small>
      </button></li>`;
  }

  #renderCounts() {
    const { counts, numInFolder, isScanning } = this.index;
    const progress = `${formatCount(counts.done)} of ${formatCount(numInFolder)} done`;
    const countOutput = elementById("image-panel-count");
    countOutput.textContent = numInFolder ? progress : "";
    countOutput.title = isScanning ? "The server still reads the folder." : "";
    elementById("image-filter").hidden = numInFolder === 0;
    for (const option of elementById("image-status").options) {
      const count = option.value ? counts[option.value] : numInFolder;
      const name = STATUS_NAMES[option.value] ?? "All";
      option.textContent = `${name} (${formatCount(count)})`;
    }
  }

  #connectFilter() {
    const scrollToTop = () => (this.scrollArea.scrollTop = 0);
    elementById("image-status").addEventListener("change", ({ target }) => {
      scrollToTop();
      this.index.setFilter({ status: target.value }).catch(() => {});
    });
    let searchTimer = null;
    elementById("image-search").addEventListener("input", ({ target }) => {
      clearTimeout(searchTimer);
      searchTimer = setTimeout(() => {
        scrollToTop();
        this.index.setFilter({ search: target.value.trim() }).catch(() => {});
      }, SEARCH_DELAY_MS);
    });
  }
}

/** The second line of a row. */
function describeEntry({ status, numObjects, reason }) {
  if (status === "failed") return reason;
  if (!status || status === "empty") return "";
  const objects = numObjects === 1 ? "1 object" : `${numObjects} objects`;
  return status === "done" ? `✓ ${objects}` : `◐ in progress (${numObjects})`;
}

function thumbnailUrl({ thumbnailUrl: url, sessionId }) {
  return url ?? (sessionId ? urlOf(`/sessions/${sessionId}/thumbnail`) : null);
}

function formatCount(count) {
  return count.toLocaleString("en");
}
