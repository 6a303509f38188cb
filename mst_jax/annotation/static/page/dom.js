/** Finds and creates HTML elements. Used by all modules that change the page. */

/**
 * @param {string} id
 * @returns {?HTMLElement}
 */
export const elementById = (id) => document.getElementById(id);

/**
 * Creates an element: `createElement("li", {className: "row"}, child, "text")`.
 * @param {string} tagName
 * @param {object} [properties] properties of the element
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function createElement(tagName, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tagName), properties);
  element.append(...children);
  return element;
}

/** Turns the labels and shortcuts of the buttons in index.html into tooltips. */
export function labelButtons() {
  const selector = "button[data-shortcut], button.icon-button";
  for (const button of document.querySelectorAll(selector)) {
    const labelElement = button.querySelector("span");
    const label = labelElement?.textContent ?? button.textContent.trim();
    const { shortcut } = button.dataset;
    button.title = shortcut ? `${label} (${shortcut})` : label;
    const hasIconOnly = button.classList.contains("icon-button");
    if (hasIconOnly) button.setAttribute("aria-label", label);
    labelElement?.remove();
    button.querySelector("svg")?.setAttribute("aria-hidden", "true");
  }
}
