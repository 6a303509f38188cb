/** Shows short messages above the canvas. Used by actions, app and canvas_events. */

import { createElement, elementById } from "./dom.js";

const DISPLAY_MS = 6000; // as long as the animation `toast` of style.css
const QUESTION_MS = 20_000;
const MAX_TOASTS = 2;

/**
 * Shows a message for some seconds; a message that is visible already is not repeated.
 * @param {string} message one sentence
 * @param {{label: string, run: () => void, displayMs?: number}} [action] button that is
 *   shown beside it
 */
export function showToast(message, action) {
  const toast = createElement("p", { className: "toast" }, message);
  if (action) {
    const onclick = () => {
      toast.remove();
      action.run();
    };
    const properties = { className: "link-button", onclick };
    toast.append(createElement("button", properties, action.label));
  }
  const visibleToasts = [...elementById("toasts").children];
  const isVisible = visibleToasts.some(
    ({ textContent }) => textContent === toast.textContent,
  );
  if (isVisible) return;
  // The oldest toast makes space for the new one.
  if (visibleToasts.length >= MAX_TOASTS) visibleToasts[0].remove();
  elementById("toasts").append(toast);
  const displayMs = action?.displayMs ?? DISPLAY_MS;
  toast.style.animationDuration = `${displayMs}ms`;
  setTimeout(() => toast.remove(), displayMs);
}

/**
 * Asks whether the pixels of a smoothed mask above half of white shall be the object.
 * @param {string} message why the mask was refused
 * @param {() => void} run repeats the request
 */
export function askForThreshold(message, run) {
  showToast(message, { label: "Use the threshold", run, displayMs: QUESTION_MS });
}

/** Removes all messages: what they are about is no longer on the page. */
export function clearToasts() {
  elementById("toasts").replaceChildren();
}
