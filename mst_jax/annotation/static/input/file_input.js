/** Receives files from the file dialog, drag and drop, and paste. Used by app.js. */

import { elementById } from "../page/dom.js";

/**
 * Listens for files.
 * @param {object} handlers
 * @param {(files: File[]) => void} handlers.onImages images to open
 * @param {(file: File) => void} handlers.onLabelMap masks of the open image, PNG
 * @param {(file: File) => void} handlers.onImport masks of the folder, COCO or zip
 * @param {() => boolean} handlers.canLoadMasks whether an image is open
 */
export function listenForFiles(handlers) {
  const fileHandlers = {
    "image-file-input": handlers.onImages,
    "mask-file-input": ([labelMap]) => handlers.onLabelMap(labelMap),
    "import-file-input": ([file]) => handlers.onImport(file),
  };
  for (const [inputId, handleFiles] of Object.entries(fileHandlers)) {
    elementById(inputId).addEventListener("change", ({ target }) => {
      const files = [...target.files];
      target.value = ""; // without this, the same file would not fire again
      if (files.length) handleFiles(files);
    });
  }
  addEventListener("paste", ({ clipboardData }) => {
    const files = [...clipboardData.files];
    if (files.length) handlers.onImages(files);
  });
  listenForDrops(handlers);
}

/** Shows two drop targets while files are dragged: open as image, load as masks. */
function listenForDrops(handlers) {
  const dropZone = elementById("drop-zone");
  const maskTarget = dropZone.querySelector("[data-drop-target=masks]");
  addEventListener("dragenter", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    maskTarget.hidden = !handlers.canLoadMasks();
    dropZone.hidden = false;
  });
  addEventListener("dragover", (event) => {
    event.preventDefault(); // allows the drop
    for (const dropTarget of dropZone.children) {
      dropTarget.classList.toggle("drag-over", dropTarget === event.target);
    }
  });
  addEventListener("dragleave", (event) => {
    // Without a related target, the pointer has left the window.
    if (!event.relatedTarget) dropZone.hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser would navigate to the file
    dropZone.hidden = true;
    const files = [...event.dataTransfer.files];
    if (!files.length) return;
    if (event.target === maskTarget) handlers.onLabelMap(files[0]);
    else handlers.onImages(files);
  });
}
