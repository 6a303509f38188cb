/** Small elements of the page. */

export const byId = (id) => document.getElementById(id);

/** Makes an element: `make("li", {className: "row"}, child, "text")`. */
export function make(tag, values = {}, ...children) {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...children);
  return element;
}

/** A button with an icon of the sprite and a name for those who cannot see it. */
export function iconButton(icon, label, onclick) {
  const button = make("button", { className: "icon", title: label, onclick });
  button.setAttribute("aria-label", label);
  button.innerHTML = `<svg aria-hidden="true"><use href="#i-${icon}"/></svg>`;
  return button;
}

/** Gives the buttons of the page the names and keys that they are marked with. */
export function nameButtons() {
  for (const button of document.querySelectorAll("button[data-key], button.icon")) {
    const label = button.querySelector("span")?.textContent ?? button.textContent.trim();
    const { key } = button.dataset;
    button.title = key ? `${label} (${key})` : label;
    if (button.classList.contains("icon")) button.setAttribute("aria-label", label);
    button.querySelector("span")?.remove();
    button.querySelector("svg")?.setAttribute("aria-hidden", "true");
  }
}
