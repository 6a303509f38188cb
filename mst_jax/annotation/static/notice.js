/** One sentence to the annotator; it goes by itself. */

import { byId, make } from "./dom.js";

const STAYS = 6000; // ms

/**
 * Shows a sentence.
 * @param {string} sentence
 * @param {{label: string, run: () => void}} [remedy] a button that helps
 */
export function say(sentence, remedy) {
  const notice = make("p", { className: "notice" }, sentence);
  if (remedy) {
    const onclick = () => {
      notice.remove();
      remedy.run();
    };
    notice.append(make("button", { className: "link", onclick }, remedy.label));
  }
  const before = [...byId("notices").children];
  if (before.some((other) => other.textContent === notice.textContent)) return;
  if (before.length > 1) before[0].remove();
  byId("notices").append(notice);
  setTimeout(() => notice.remove(), STAYS);
}
