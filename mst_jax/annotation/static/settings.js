/** What the annotator prefers, remembered by the browser. */

const PREFIX = "mst_jax.";

/** A remembered value, or `otherwise`; never an error. */
export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Remembers a value; a full or forbidden store only means that it is forgotten. */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch { /* the server keeps the work itself */ }
}

/** `opacity` 0 to 100, brush `size` in steps of 1 to 100, `view` of the masks. */
export const settings = {
  view: "fill",
  opacity: 45,
  size: 30,
  tokens: false,
  ...recall("settings", {}),
};

/** Changes some settings and remembers all. */
export function set(changes) {
  Object.assign(settings, changes);
  remember("settings", settings);
}

/** Changes from light to dark or back, whatever the system prefers. */
export function switchTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme || (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(`${PREFIX}theme`, root.dataset.theme);
  } catch { /* forgotten with the page */ }
}
