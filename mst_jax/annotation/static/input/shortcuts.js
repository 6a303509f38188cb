/** Keyboard shortcuts: one table for what the keys do and for the help dialog. Used by
 * app.js. */

/** [keys, description, name of the action in actions.js]; actions receive the key. */
const SHORTCUTS = [
  [["Space"], "finish the object; the next click starts another", "finishObject"],
  [["D", "PageDown"], "next image", "openNextImage"],
  [["A", "PageUp"], "previous image", "openPreviousImage"],
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "set the label", "applyLabel"],
  [["Z", "Ctrl+Z", "Backspace"], "undo, also a deletion", "undo"],
  [["Y", "Ctrl+Y", "Ctrl+Shift+Z"], "redo", "redo"],
  [["Delete"], "delete this object", "deleteObject"],
  [["Shift+R"], "remove all clicks of this object", "resetObject"],
  [["J", "K"], "next, previous object", "stepObject"],
  [["C"], "click tool", "useClickTool"],
  [["B"], "brush; the right button erases", "useBrush"],
  [["E"], "eraser; the right button paints", "useEraser"],
  [["H"], "hand tool; also while the key is held", "useHand"],
  [["N"], "switch between positive and negative clicks", "toggleClickSign"],
  [["[", "]"], "smaller, larger brush", "resizeBrush"],
  [["M"], "filled masks", "showFilledMasks"],
  [["O"], "outlines only", "showOutlines"],
  [["P"], "probability map", "showProbability"],
  [["T"], "selected tokens", "toggleTokens"],
  [["X"], "hide all masks while held", "hideMasks"],
  [["+", "-"], "zoom in, out; also the wheel", "zoomByKey"],
  [["0"], "fit the image", "fitImage"],
  [["/"], "search for an image", "searchImages"],
  [["Ctrl+O"], "open images", "openImages"],
  [["Ctrl+S"], "export everything as zip", "exportAll"],
  [["?"], "this help", "showHelp"],
];

/** What the mouse and the keys of the canvas do, for the same dialog. */
const CANVAS_INPUT = [
  [["Click"], "positive click: on the object"],
  [["Right click", "Shift+click"], "negative click: not on the object"],
  [["Alt+click"], "on a click: delete it"],
  [["Ctrl+click"], "select the object below the pointer"],
  [["Wheel", "pinch"], "zoom"],
  [["Middle button", "two fingers"], "move the image"],
  [["Arrows"], "move the cross; with Shift by one pixel"],
  [["Enter", "Shift+Enter"], "positive, negative click at the cross"],
];

/** Actions that repeat while their key is held. */
const REPEATING_ACTIONS = ["zoomByKey", "resizeBrush", "undo", "redo"];
const HOLD_MS = 250; // time after which H was held, not pressed

const ACTION_NAMES = new Map(
  SHORTCUTS.flatMap(([keys, , actionName]) => keys.map((key) => [key, actionName])),
);

/** Characters of a US keyboard by `event.code`, for keys without a Latin letter. */
const KEYS_OF_CODES = {
  BracketLeft: "[", BracketRight: "]", Minus: "-", Equal: "+", Slash: "/",
};

/**
 * Listens to the keyboard.
 * @param {Object<string, (key: string) => void>} actions functions by action name
 * @param {object} handlers
 * @param {() => string} handlers.getTool
 * @param {(tool: string) => void} handlers.setTool
 * @param {(isHidden: boolean) => void} handlers.setMasksHidden
 */
export function listenForShortcuts(actions, handlers) {
  /** While H is held: {code, startTime, previousTool}. */
  let heldHand = null;
  /** `event.code` of the held key that hides the masks. */
  let hidingCode = null;
  const showMasks = () => {
    hidingCode = null;
    handlers.setMasksHidden(false);
  };

  addEventListener("keydown", (event) => {
    const key = keyName(event);
    const actionName = ACTION_NAMES.get(key);
    // 1. Keys that belong to something else: text, an open dialog, a focused button.
    const isDialogOpen = document.querySelector("dialog[open]");
    if (!actionName || isTextInput(event) || isDialogOpen) return;
    if (key === "Space" && event.target.closest("button")) return;
    event.preventDefault();
    if (event.repeat && !REPEATING_ACTIONS.includes(actionName)) return;
    // 2. H and X also act when they are released.
    const { code } = event;
    if (actionName === "useHand") {
      const previousTool = handlers.getTool();
      heldHand = { code, startTime: performance.now(), previousTool };
    }
    if (actionName === "hideMasks") {
      hidingCode = code;
      handlers.setMasksHidden(true);
    } else {
      actions[actionName](key);
    }
  });
  addEventListener("keyup", ({ code }) => {
    if (code === hidingCode) showMasks();
    if (code === heldHand?.code) {
      const wasHeld = performance.now() - heldHand.startTime > HOLD_MS;
      if (wasHeld) handlers.setTool(heldHand.previousTool);
      heldHand = null;
    }
  });
  // A window without focus never receives the keyup event.
  addEventListener("blur", showMasks);
}

/**
 * Fills a definition list with all shortcuts.
 * @param {HTMLDListElement} list
 */
export function fillShortcutList(list) {
  for (const [keys, description] of [...CANVAS_INPUT, ...SHORTCUTS]) {
    const term = document.createElement("dt");
    // Nine keys of labels are shown as a range.
    const shownKeys = keys.length > 3 ? [`${keys[0]} to ${keys.at(-1)}`] : keys;
    for (const key of shownKeys) {
      const keyCap = document.createElement("kbd");
      keyCap.textContent = key;
      term.append(keyCap, " ");
    }
    const details = document.createElement("dd");
    details.textContent = description;
    list.append(term, details);
  }
}

/**
 * Returns the name of a key as in the table, such as "Ctrl+Shift+Z".
 *
 * The character decides, so that Z is Z on every Latin layout. Where the layout is not
 * Latin, the place of the key decides. Digits are those of the number row, because they
 * need Shift on some layouts.
 * @param {KeyboardEvent} event
 * @returns {string}
 */
export function keyName(event) {
  const { code, shiftKey, altKey } = event;
  const isAltGraph = event.getModifierState("AltGraph");
  const isCtrl = (event.ctrlKey || event.metaKey) && !isAltGraph;
  const digit = /^Digit([0-9])$/.exec(code)?.[1];
  let key = event.key === " " ? "Space" : event.key.length > 1 ? event.key
    : event.key.toUpperCase();
  if (digit && !shiftKey && !altKey && !isCtrl) key = digit;
  const isForeign = !/^[\x20-\x7e]+$/.test(key) || key === "Dead";
  if (isForeign) key = code.replace(/^Key/, "");
  if (isForeign && code in KEYS_OF_CODES) key = KEYS_OF_CODES[code];
  if (isForeign && shiftKey && key === "/") key = "?";
  if (key === "=") key = "+";
  // Shift is part of characters such as "?", but not of letters.
  const isLetter = /^[A-Z]$/.test(key);
  return `${isCtrl ? "Ctrl+" : ""}${shiftKey && isLetter ? "Shift+" : ""}${key}`;
}

function isTextInput({ target }) {
  return target.matches("input:not([type=range], [type=color]), textarea, select");
}
