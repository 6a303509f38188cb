/** Clicks without a mouse: arrow keys move a cross over the image, Enter clicks on it.
 * Used by canvas_events.js. */

import { requestDraw, state } from "../page/state.js";

const STEP = 12; // CSS pixels of one key press
const DIRECTIONS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/**
 * Listens to the keys of the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {(x: number, y: number, isNegative: boolean) => void} onClick image pixels
 */
export function listenForCursorKeys(canvas, onClick) {
  canvas.addEventListener("keydown", (event) => {
    if (!state.session || event.ctrlKey || event.metaKey) return;
    const direction = DIRECTIONS[event.key];
    if (direction) {
      event.preventDefault();
      moveCursor(direction, event.shiftKey);
    } else if (event.key === "Enter" && state.keyboardCursor && !event.repeat) {
      event.preventDefault();
      const { x, y } = state.keyboardCursor;
      onClick(x, y, event.shiftKey);
    }
  });
  canvas.addEventListener("blur", hideCursor);
  // Whoever takes the mouse does not need the cross.
  canvas.addEventListener("pointerdown", hideCursor);
}

function moveCursor([directionX, directionY], isFine) {
  const { viewport, session } = state;
  const { width, height } = session.image;
  const step = isFine ? 1 : Math.max(1, Math.round(STEP / viewport.scale));
  // The first press shows the cross in the middle of the canvas.
  const center = viewport.toImage(
    viewport.canvasSize.width / 2, viewport.canvasSize.height / 2,
  );
  const cursor = state.keyboardCursor;
  const target = cursor
    ? { x: cursor.x + directionX * step, y: cursor.y + directionY * step } : center;
  state.keyboardCursor = {
    x: Math.min(width - 1, Math.max(0, Math.floor(target.x))),
    y: Math.min(height - 1, Math.max(0, Math.floor(target.y))),
  };
  viewport.showPoint(state.keyboardCursor);
  requestDraw();
}

function hideCursor() {
  if (!state.keyboardCursor) return;
  state.keyboardCursor = null;
  requestDraw();
}
