/** Files come by dialog, drag and drop, or paste. */

import { byId } from "./dom.js";

/**
 * Listens for files.
 * @param {{pictures: (files: File[]) => void, masks: (file: File) => void,
 *   canLoadMasks: () => boolean}} on
 */
export function listenToFiles(on) {
  const takers = { file: on.pictures, maskFile: ([one]) => on.masks(one) };
  for (const [id, take] of Object.entries(takers)) {
    byId(id).addEventListener("change", ({ target }) => {
      const files = [...target.files];
      target.value = ""; // so that the same file can be chosen again
      if (files.length) take(files);
    });
  }
  addEventListener("paste", ({ clipboardData }) => {
    const files = [...clipboardData.files];
    if (files.length) on.pictures(files);
  });
  listenToDrops(on);
}

function listenToDrops(on) {
  const zone = byId("drop");
  const masks = zone.querySelector("[data-drop=masks]");
  addEventListener("dragenter", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    masks.hidden = !on.canLoadMasks();
    zone.hidden = false;
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    for (const part of zone.children) part.classList.toggle("over", part === event.target);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    zone.hidden = true;
    const files = [...event.dataTransfer.files];
    if (!files.length) return;
    if (event.target === masks) on.masks(files[0]);
    else on.pictures(files);
  });
}
