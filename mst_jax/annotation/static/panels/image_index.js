/** The images of the served folder, loaded in pages as the list is scrolled, and those
 * opened by the user. Used by app.js; image_list.js shows them. */

import { loadValue, storeValue } from "../page/settings.js";
import { requestJson, urlOf } from "../server/api_client.js";

const PAGE_SIZE = 200; // images of one request
const MAX_STORED_UPLOADS = 60; // opened images that are remembered

/**
 * @typedef {object} ImageEntry
 * @property {string} name file name, or path relative to the served folder
 * @property {boolean} isInFolder whether the image belongs to the served folder
 * @property {?string} sessionId null before the image was opened
 * @property {"done"|"in_progress"|"empty"|"failed"} [status] images of the folder only
 * @property {number} [numObjects]
 * @property {string} [reason] why the image cannot be shown
 * @property {boolean} [hasShownRemarks] whether the user knows how the file was read
 * @property {File} [file] uploaded when the image is opened; lost by a reload
 * @property {string} [thumbnailUrl]
 */

export class ImageIndex {
  /** @type {ImageEntry[]} images opened by the user; they come before the folder */
  uploads = loadValue("uploads", []);
  /** Which images of the folder are listed. */
  filter = { status: "", search: "" };
  /** Number of images of the folder by status. */
  counts = { done: 0, in_progress: 0, empty: 0, failed: 0 };
  /** Whether the server still reads the folder. */
  isScanning = false;
  /** @type {?ImageEntry} */
  currentEntry = null;
  #hasFolder = false;
  /** Where the current image was when it was listed last. */
  #lastPosition = 0;
  #numListed = 0;
  /** Entries of the folder by position in the filtered list. */
  #listed = new Map();
  /** All known entries by name, so that an image keeps its entry. */
  #entries = new Map();
  /** First positions of the pages that are loaded or on their way. */
  #requestedPages = new Set();

  /** @param {() => void} onChange called when entries have arrived */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /**
   * Loads the first images of the folder.
   * @param {boolean} hasFolder whether the server has one
   */
  async load(hasFolder) {
    this.#hasFolder = hasFolder;
    if (hasFolder) await this.#loadPage(0);
  }

  /** Number of images of the folder, whatever the filter. */
  get numInFolder() {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** Number of listed images. */
  get length() {
    return this.#listedUploads.length + this.#numListed;
  }

  /** Uploads have no status on the server; a status filter hides them. */
  get #listedUploads() {
    const { status, search } = this.filter;
    if (status) return [];
    const searchText = search.toLowerCase();
    return this.uploads.filter(({ name }) => name.toLowerCase().includes(searchText));
  }

  /**
   * @param {number} position in the list
   * @returns {?ImageEntry} null while its page is on its way
   */
  entryAt(position) {
    const listedUploads = this.#listedUploads;
    if (position < listedUploads.length) return listedUploads[position];
    const folderPosition = position - listedUploads.length;
    if (!this.#listed.has(folderPosition)) this.#requestPage(folderPosition);
    return this.#listed.get(folderPosition) ?? null;
  }

  /**
   * @param {?ImageEntry} entry
   * @returns {number} -1 if the entry is not listed, or its page is not loaded
   */
  positionOf(entry) {
    const listedUploads = this.#listedUploads;
    if (entry === null) return -1;
    if (!entry.isInFolder) return listedUploads.indexOf(entry);
    for (const [folderPosition, listedEntry] of this.#listed) {
      if (listedEntry === entry) return folderPosition + listedUploads.length;
    }
    return -1;
  }

  /**
   * Returns the next image that can be shown.
   * @param {1|-1} step 1 for the next image, -1 for the previous one
   * @returns {Promise<?ImageEntry>} null at either end of the list
   */
  async neighborEntry(step) {
    let position = this.positionOf(this.currentEntry);
    // The filter has removed the current image: another one has taken its place.
    if (position < 0) position = this.#lastPosition - (step > 0 ? 1 : 0);
    for (;;) {
      position += step;
      if (position < 0 || position >= this.length) return null;
      const entry = this.entryAt(position) ?? (await this.#loadedEntryAt(position));
      if (entry?.status !== "failed") return entry;
    }
  }

  /**
   * Lists other images; the current one stays open.
   * @param {{status?: string, search?: string}} changes
   */
  async setFilter(changes) {
    Object.assign(this.filter, changes);
    this.#requestedPages.clear();
    this.#listed.clear();
    // The page of the current image, so that its neighbors are known.
    if (this.#hasFolder) await this.#loadPage(0, this.currentEntry?.name);
    this.onChange();
  }

  /**
   * Loads status and counts again.
   * @param {number} position in the list, of an image that is visible
   */
  async refresh(position) {
    if (!this.#hasFolder) return;
    const folderPosition = Math.max(0, position - this.#listedUploads.length);
    await this.#loadPage(folderPosition - (folderPosition % PAGE_SIZE));
  }

  /**
   * Adds images that were opened, dropped or pasted.
   * @param {File[]} files
   * @returns {ImageEntry} entry of the first file
   */
  addFiles(files) {
    const addedEntries = files.map((file) => ({
      name: file.name, isInFolder: false, sessionId: null, file,
      thumbnailUrl: URL.createObjectURL(file),
    }));
    this.uploads = [...addedEntries, ...this.uploads];
    this.onChange();
    return addedEntries[0];
  }

  /**
   * Returns the entry of a session; adds one for a session that is not listed.
   * @param {string} sessionId
   * @param {?string} folderImage name of the image in the folder; null for an upload
   * @returns {Promise<ImageEntry>}
   */
  async entryOfSession(sessionId, folderImage) {
    if (folderImage !== null) {
      await this.#loadPage(0, folderImage);
      return this.#entryOfImage({ name: folderImage, session_id: sessionId });
    }
    let entry = this.uploads.find((upload) => upload.sessionId === sessionId);
    if (!entry) {
      entry = { name: "", isInFolder: false, sessionId };
      this.uploads = [entry, ...this.uploads];
    }
    return entry;
  }

  /** Stores which sessions belong to the images opened by the user. */
  store() {
    const opened = this.uploads.filter(({ sessionId }) => sessionId);
    // Files cannot be stored.
    storeValue("uploads", opened.slice(0, MAX_STORED_UPLOADS).map(
      ({ name, isInFolder, sessionId }) => ({ name, isInFolder, sessionId }),
    ));
  }

  /** Forgets an upload that cannot be opened: its session and its file are gone. */
  removeUpload(entry) {
    this.uploads = this.uploads.filter((upload) => upload !== entry);
    this.store();
    this.onChange();
  }

  #requestPage(folderPosition) {
    const offset = folderPosition - (folderPosition % PAGE_SIZE);
    if (folderPosition >= this.#numListed || this.#requestedPages.has(offset)) return;
    this.#requestedPages.add(offset);
    // Without a response, the next drawing of the list asks again.
    this.#loadPage(offset).catch(() => this.#requestedPages.delete(offset));
  }

  async #loadedEntryAt(position) {
    const folderPosition = position - this.#listedUploads.length;
    await this.#loadPage(folderPosition - (folderPosition % PAGE_SIZE));
    return this.#listed.get(folderPosition) ?? null;
  }

  /** Loads the page at an offset, or the one with an image that is listed. */
  async #loadPage(offset, around = "") {
    const { status, search } = this.filter;
    const parameters = new URLSearchParams({ offset, limit: PAGE_SIZE });
    if (status) parameters.set("status", status);
    if (search) parameters.set("search", search);
    if (around) parameters.set("around", around);
    const page = await requestJson("GET", `/images?${parameters}`);
    // The filter has changed in the meantime.
    if (status !== this.filter.status || search !== this.filter.search) return;
    const lastPosition = this.positionOf(this.currentEntry);
    if (lastPosition >= 0) this.#lastPosition = lastPosition;
    // All positions may have changed; pages are loaded again when they are shown.
    if (page.total !== this.#numListed) {
      this.#listed.clear();
      this.#requestedPages.clear();
    }
    this.counts = page.counts;
    this.isScanning = page.is_scanning;
    this.#numListed = page.total;
    this.#requestedPages.add(page.offset);
    page.images.forEach((image, index) =>
      this.#listed.set(page.offset + index, this.#entryOfImage(image)));
    this.onChange();
  }

  #entryOfImage(image) {
    const { name } = image;
    if (!this.#entries.has(name)) {
      const thumbnailUrl = urlOf(`/images/thumbnail?name=${encodeURIComponent(name)}`);
      this.#entries.set(name, { name, isInFolder: true, thumbnailUrl });
    }
    const entry = this.#entries.get(name);
    entry.sessionId = image.session_id ?? entry.sessionId ?? null;
    if (image.status) {
      const { status, num_objects: numObjects, reason } = image;
      Object.assign(entry, { status, numObjects, reason });
    }
    return entry;
  }
}
