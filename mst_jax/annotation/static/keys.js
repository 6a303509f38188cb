/** The keyboard: one table for what keys do and for the page that explains them. */

/** [keys, what they do, name of the action]; actions see the pressed key. */
export const KEYS = [
  [["Space"], "finish the object; the next click begins another", "finish"],
  [["Ctrl+Z"], "undo", "undo"],
  [["Ctrl+Shift+Z", "Ctrl+Y"], "redo", "redo"],
  [["Shift+R"], "begin this object anew", "reset"],
  [["Delete"], "delete this object", "remove"],
  [["J", "K"], "next, previous object", "step"],
  [["C"], "click", "click"],
  [["B"], "brush; right button erases", "brush"],
  [["E"], "eraser", "eraser"],
  [["H"], "hand, while held or until another tool", "hand"],
  [["N"], "clicks mean the other: object, not object", "sign"],
  [["[", "]"], "smaller, larger brush", "resize"],
  [["M"], "filled masks", "fill"],
  [["O"], "outlines only", "outline"],
  [["P"], "how sure the model is", "probability"],
  [["T"], "what the model looks at", "tokens"],
  [["X"], "hide all masks while held", "bare"],
  [["+", "-"], "zoom in, out; also the wheel", "zoom"],
  [["0"], "fit the picture", "fit"],
  [["1"], "one screen pixel for each of the picture", "actual"],
  [["PageUp", "PageDown"], "previous, next picture", "turn"],
  [["Ctrl+O"], "open pictures", "open"],
  [["Ctrl+S"], "save everything as zip", "save"],
  [["?"], "this page", "help"],
];

/** What the mouse does, for the same page. */
const MOUSE = [
  [["Click"], "this is the object"],
  [["Right click", "Shift+click"], "not this"],
  [["Alt+click"], "on a dot: delete that click"],
  [["Ctrl+click"], "go on with the object under the pointer"],
  [["Wheel", "pinch"], "zoom"],
  [["Middle button", "two fingers"], "move the picture"],
];

const HELD = 250; // ms after which H was held, not pressed

/**
 * Listens to the keyboard.
 * @param {Object<string, (key: string) => void>} actions by the names of the table
 * @param {object} on tool() names the tool, setTool(name) changes it, bare(is) hides masks
 */
export function listen(actions, on) {
  const table = new Map(KEYS.flatMap(([keys, , name]) => keys.map((key) => [key, name])));
  let held = null; // {since, tool}: the hand, and the tool before it

  addEventListener("keydown", (event) => {
    const key = keyOf(event);
    const name = table.get(key);
    if (!name || isTyping(event) || document.querySelector("dialog[open]")) return;
    if (key === "Space" && event.target.closest("button")) return;
    event.preventDefault();
    if (event.repeat && !["zoom", "resize", "undo", "redo"].includes(name)) return;
    if (name === "hand") held = { since: performance.now(), tool: on.tool() };
    if (name === "bare") on.bare(true);
    else actions[name](key);
  });
  addEventListener("keyup", (event) => {
    if (keyOf(event).endsWith("X")) on.bare(false);
    if (held && event.key.toUpperCase() === "H") {
      if (performance.now() - held.since > HELD) on.setTool(held.tool);
      held = null;
    }
  });
  addEventListener("blur", () => on.bare(false));
}

/** Fills a definition list with all keys. */
export function explain(list) {
  for (const [keys, does] of [...MOUSE, ...KEYS]) {
    const term = document.createElement("dt");
    for (const key of keys) {
      const cap = document.createElement("kbd");
      cap.textContent = key;
      term.append(cap, " ");
    }
    const what = document.createElement("dd");
    what.textContent = does;
    list.append(term, what);
  }
}

function keyOf(event) {
  const key = event.key === " " ? "Space"
    : event.key === "=" ? "+"
    : event.key === "Backspace" ? "Delete"
    : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const isLetter = /^[A-Z]$/.test(key);
  const shift = event.shiftKey && isLetter ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${key}`;
}

function isTyping({ target }) {
  return target.matches("input:not([type=range], [type=color]), textarea");
}
