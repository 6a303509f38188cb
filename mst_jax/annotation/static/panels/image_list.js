/** The list of images at the left: those of the served folder, and those opened by the
 * user. Used by app.js. */

import { requestJson, sendRequest } from "../server/api_client.js";
import { createElement, elementById } from "../page/dom.js";
import { loadValue, storeValue } from "../page/settings.js";

const MAX_STORED_UPLOADS = 60; // images that are remembered beside those of the folder

/**
 * @typedef {object} ImageEntry
 * @property {string} name file name, or path relative to the served folder
 * @property {boolean} isInFolder whether the image belongs to the served folder
 * @property {?string} sessionId null before the image was opened
 * @property {File} [file] uploaded when the image is opened; lost by a reload
 * @property {HTMLElement} [thumbnail] button in the list
 */

export class ImageList {
  /** @type {ImageEntry[]} */
  entries = [];
  /** @type {?ImageEntry} */
  currentEntry = null;

  /** @param {(entry: ImageEntry) => void} onSelect called when an image is clicked */
  constructor(onSelect) {
    this.onSelect = onSelect;
  }

  /**
   * Lists the served folder and the images opened before the page was loaded.
   * @param {boolean} hasImageFolder
   */
  async load(hasImageFolder) {
    const storedEntries = loadValue("images", []);
    // Images of the folder keep their sessions; their list is the server's.
    const storedSessions = new Map(
      storedEntries.filter(({ isInFolder }) => isInFolder)
        .map(({ name, sessionId }) => [name, sessionId]),
    );
    const folderImages = hasImageFolder
      ? (await requestJson("GET", "/images")).images : [];
    this.entries = folderImages.map(({ name }) => ({
      name,
      isInFolder: true,
      sessionId: storedSessions.get(name) ?? null,
    }));
    this.entries.push(...storedEntries.filter(({ isInFolder }) => !isInFolder));
    this.render();
  }

  /**
   * Adds images that were opened, dropped or pasted.
   * @param {File[]} files
   * @returns {ImageEntry} entry of the first file
   */
  addFiles(files) {
    const addedEntries = files.map((file) => ({
      name: file.name, isInFolder: false, sessionId: null, file,
    }));
    this.entries.push(...addedEntries);
    this.render();
    return addedEntries[0];
  }

  /**
   * Returns the entry of a session; adds one for a session that is not listed.
   * @param {string} sessionId
   * @returns {ImageEntry}
   */
  entryOfSession(sessionId) {
    let entry = this.entries.find((candidate) => candidate.sessionId === sessionId);
    if (!entry) {
      entry = { name: "", isInFolder: false, sessionId };
      this.entries.push(entry);
    }
    return entry;
  }

  /**
   * @param {number} step 1 for the next image, -1 for the previous one
   * @returns {?ImageEntry} null at either end of the list
   */
  neighborEntry(step) {
    return this.entries[this.entries.indexOf(this.currentEntry) + step] ?? null;
  }

  /** Stores which sessions belong to which images. */
  store() {
    const opened = this.entries.filter(({ sessionId }) => sessionId);
    const storedEntries = [
      ...opened.filter(({ isInFolder }) => isInFolder),
      ...opened.filter(({ isInFolder }) => !isInFolder).slice(-MAX_STORED_UPLOADS),
    ];
    // Files and elements cannot be stored.
    storeValue("images", storedEntries.map(
      ({ name, isInFolder, sessionId }) => ({ name, isInFolder, sessionId }),
    ));
  }

  /**
   * Forgets a session that the server has closed.
   * @param {string} sessionId
   */
  forgetSession(sessionId) {
    const entry = this.entries.find((candidate) => candidate.sessionId === sessionId);
    if (!entry) return;
    entry.sessionId = null;
    // Without session, folder and file the image cannot be opened again.
    if (!entry.isInFolder && !entry.file) {
      this.entries = this.entries.filter((candidate) => candidate !== entry);
    }
    this.store();
    this.render();
  }

  render() {
    const listItems = this.entries.map((entry) => {
      entry.thumbnail ??= this.#createThumbnail(entry);
      const { thumbnail, sessionId } = entry;
      thumbnail.classList.toggle("opened", sessionId !== null);
      thumbnail.setAttribute("aria-current", String(entry === this.currentEntry));
      return thumbnail.parentElement ?? createElement("li", {}, thumbnail);
    });
    // An unchanged list is left alone, so that it keeps focus and scroll position.
    const list = elementById("image-list");
    if (list.children.length !== listItems.length ||
        listItems.some((listItem, index) => listItem !== list.children[index])) {
      list.replaceChildren(...listItems);
    }
    const scrollOptions = { block: "nearest", inline: "nearest" };
    this.currentEntry?.thumbnail.scrollIntoView(scrollOptions);
  }

  #createThumbnail(entry) {
    const image = createElement("img", {
      alt: "", loading: "lazy", src: thumbnailUrl(entry),
    });
    const onclick = () => this.onSelect(entry);
    const properties = { className: "thumbnail", title: entry.name, onclick };
    const caption = createElement("span", {}, entry.name);
    return createElement("button", properties, image, caption);
  }
}

/**
 * Returns the session of an image; creates one on the server if there is none.
 * @param {ImageEntry} entry
 * @returns {Promise<string>} session id
 */
export async function getOrCreateSession(entry) {
  if (entry.sessionId) return entry.sessionId;
  const uploadPath = `/sessions?name=${encodeURIComponent(entry.name)}`;
  const response = entry.isInFolder
    ? await requestJson("POST", "/sessions", { image: entry.name })
    : await (await sendRequest("POST", uploadPath, entry.file)).json();
  entry.sessionId = response.session_id;
  return response.session_id;
}

function thumbnailUrl(entry) {
  if (entry.isInFolder) {
    return `/api/images/thumbnail?name=${encodeURIComponent(entry.name)}`;
  }
  if (entry.file) return URL.createObjectURL(entry.file);
  return `/api/sessions/${entry.sessionId}/image`;
}
