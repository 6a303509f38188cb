/** User settings and other values kept in the browser's localStorage. Used by all. */

const KEY_PREFIX = "mst_jax.";

/**
 * Reads a stored value; never throws.
 * @param {string} name
 * @param {any} defaultValue returned if nothing is stored or storage is forbidden
 * @returns {any}
 */
export function loadValue(name, defaultValue) {
  try {
    return JSON.parse(localStorage.getItem(KEY_PREFIX + name)) ?? defaultValue;
  } catch {
    return defaultValue;
  }
}

/**
 * Stores a value as JSON; never throws.
 * @param {string} name
 * @param {any} value
 */
export function storeValue(name, value) {
  try {
    localStorage.setItem(KEY_PREFIX + name, JSON.stringify(value));
  } catch { /* full or forbidden: the server keeps the annotations anyway */ }
}

/**
 * Remembers a number for this tab only; never throws.
 * @param {string} name
 * @param {?number} number null: forgets it
 */
export function storeTabNumber(name, number) {
  try {
    if (number === null) sessionStorage.removeItem(KEY_PREFIX + name);
    else sessionStorage.setItem(KEY_PREFIX + name, String(number));
  } catch { /* forbidden: a reload forgets it */ }
}

/**
 * @param {string} name
 * @returns {?number} what `storeTabNumber` has stored; null: nothing
 */
export function loadTabNumber(name) {
  try {
    return Number(sessionStorage.getItem(KEY_PREFIX + name)) || null;
  } catch {
    return null;
  }
}

/** Settings of the user; changed only by `updateSettings`. */
export const settings = {
  /** "fill", "outline" or "probability". */
  maskView: "fill",
  /** Percent, 0 to 100. */
  maskOpacity: 45,
  /** Steps of the slider, 1 to 100; see `brushDiameter`. */
  brushSize: 30,
  /** Whether the boxes of selected tokens are drawn. */
  showTokens: false,
  /** Steps of the sliders, -100 to 100; see `displayFilter` of render.js. */
  brightness: 0,
  contrast: 0,
  ...loadValue("settings", {}),
};

/**
 * Changes some settings and stores all of them.
 * @param {Partial<typeof settings>} changes
 */
export function updateSettings(changes) {
  Object.assign(settings, changes);
  storeValue("settings", settings);
}

/** Switches between the light and the dark theme, whatever the system prefers. */
export function switchTheme() {
  const root = document.documentElement;
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const currentTheme = root.dataset.theme || (systemIsDark ? "dark" : "light");
  root.dataset.theme = currentTheme === "dark" ? "light" : "dark";
  try {
    // Stored as plain text, not JSON, because theme.js reads it before any module.
    localStorage.setItem(`${KEY_PREFIX}theme`, root.dataset.theme);
  } catch { /* the theme lasts until the page is closed */ }
}
