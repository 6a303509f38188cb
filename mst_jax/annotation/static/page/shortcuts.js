/** Keyboard shortcuts: one table for what the keys do and for the help dialog. Used by
 * app.js. */

/** [keys, description, name of the action in actions.js]; actions receive the key. */
const SHORTCUTS = [
  [["Space"], "finish the object; the next click starts another", "finishObject"],
  [["Ctrl+Z"], "undo", "undo"],
  [["Ctrl+Shift+Z", "Ctrl+Y"], "redo", "redo"],
  [["Shift+R"], "reset this object", "resetObject"],
  [["Delete"], "delete this object", "deleteObject"],
  [["J", "K"], "next, previous object", "stepObject"],
  [["C"], "click tool", "useClickTool"],
  [["B"], "brush; the right button erases", "useBrush"],
  [["E"], "eraser; the right button paints", "useEraser"],
  [["H"], "hand, while held or until another tool", "useHand"],
  [["N"], "switch between positive and negative clicks", "toggleClickSign"],
  [["[", "]"], "smaller, larger brush", "resizeBrush"],
  [["M"], "filled masks", "showFilledMasks"],
  [["O"], "outlines only", "showOutlines"],
  [["P"], "probability map", "showProbability"],
  [["T"], "selected tokens", "toggleTokens"],
  [["X"], "hide all masks while held", "hideMasks"],
  [["+", "-"], "zoom in, out; also the wheel", "zoomByKey"],
  [["0"], "fit the image", "fitImage"],
  [["1"], "one screen pixel per image pixel", "zoomToActualSize"],
  [["PageUp", "PageDown"], "previous, next image", "stepImage"],
  [["Ctrl+O"], "open images", "openImages"],
  [["Ctrl+S"], "export everything as zip", "exportAll"],
  [["?"], "this help", "showHelp"],
];

/** What the mouse does, for the same dialog. */
const MOUSE_GESTURES = [
  [["Click"], "on the object"],
  [["Right click", "Shift+click"], "not on the object"],
  [["Alt+click"], "on a click: delete it"],
  [["Ctrl+click"], "select the object below the pointer"],
  [["Wheel", "pinch"], "zoom"],
  [["Middle button", "two fingers"], "move the image"],
];

/** Actions that repeat while their key is held. */
const REPEATING_ACTIONS = ["zoomByKey", "resizeBrush", "undo", "redo"];
const HOLD_MS = 250; // time after which H was held, not pressed

/**
 * Listens to the keyboard.
 * @param {Object<string, (key: string) => void>} actions functions by action name
 * @param {object} handlers
 * @param {() => string} handlers.getTool
 * @param {(tool: string) => void} handlers.setTool
 * @param {(isHidden: boolean) => void} handlers.setMasksHidden
 */
export function listenForShortcuts(actions, handlers) {
  const actionNames = new Map(
    SHORTCUTS.flatMap(([keys, , actionName]) => keys.map((key) => [key, actionName])),
  );
  /** While H is held: {startTime, previousTool}. */
  let heldHand = null;

  addEventListener("keydown", (event) => {
    const key = keyName(event);
    const actionName = actionNames.get(key);
    // 1. Keys that belong to something else: text, an open dialog, a focused button.
    const isDialogOpen = document.querySelector("dialog[open]");
    if (!actionName || isTextInput(event) || isDialogOpen) return;
    if (key === "Space" && event.target.closest("button")) return;
    event.preventDefault();
    if (event.repeat && !REPEATING_ACTIONS.includes(actionName)) return;
    // 2. H and X also act when they are released.
    if (actionName === "useHand") {
      heldHand = { startTime: performance.now(), previousTool: handlers.getTool() };
    }
    if (actionName === "hideMasks") handlers.setMasksHidden(true);
    else actions[actionName](key);
  });
  addEventListener("keyup", (event) => {
    // Also for Shift+X: a modifier may have been pressed in between.
    if (keyName(event).endsWith("X")) handlers.setMasksHidden(false);
    if (heldHand && event.key.toUpperCase() === "H") {
      const wasHeld = performance.now() - heldHand.startTime > HOLD_MS;
      if (wasHeld) handlers.setTool(heldHand.previousTool);
      heldHand = null;
    }
  });
  // A window without focus never receives the keyup event.
  addEventListener("blur", () => handlers.setMasksHidden(false));
}

/**
 * Fills a definition list with all shortcuts.
 * @param {HTMLDListElement} list
 */
export function fillShortcutList(list) {
  for (const [keys, description] of [...MOUSE_GESTURES, ...SHORTCUTS]) {
    const term = document.createElement("dt");
    for (const key of keys) {
      const keyCap = document.createElement("kbd");
      keyCap.textContent = key;
      term.append(keyCap, " ");
    }
    const details = document.createElement("dd");
    details.textContent = description;
    list.append(term, details);
  }
}

/** Returns the name of a key as in the table, such as "Ctrl+Shift+Z". */
function keyName(event) {
  const key = event.key === " " ? "Space"
    : event.key === "=" ? "+"
    : event.key === "Backspace" ? "Delete"
    : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  // Shift is part of characters such as "?", but not of letters.
  const isLetter = /^[A-Z]$/.test(key);
  const shiftPrefix = event.shiftKey && isLetter ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shiftPrefix}${key}`;
}

function isTextInput({ target }) {
  return target.matches("input:not([type=range], [type=color]), textarea");
}
