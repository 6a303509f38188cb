/** Turns pointer events of mouse, pen and fingers into taps, strokes, pan and zoom.
 * Used by canvas_events.js. */

const TAP_MAX_MOVE = 8; // CSS pixels; a finger that moves farther pans
const WHEEL_ZOOM_RATE = 0.0018; // exponent of the zoom factor per wheel pixel
const TRACKPAD_PINCH_RATE = 0.012; // the same for a pinch on a trackpad
const WHEEL_LINE_HEIGHT = 30; // pixels, for wheels that count in lines

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {object} Modifiers state of keys and buttons during a tap
 * @property {boolean} isRightButton
 * @property {boolean} shift
 * @property {boolean} alt
 * @property {boolean} ctrl Ctrl or Command
 * @property {boolean} isHandTool
 */

/**
 * Listens to the pointer. All points that handlers receive are image pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {Viewport} viewport changed here by pan and zoom
 * @param {object} handlers
 * @param {() => string} handlers.getTool "click", "brush", "eraser" or "hand"
 * @param {(point: Point, modifiers: Modifiers) => void} handlers.onTap
 * @param {(point: Point, options: {isRightButton: boolean}) => void}
 *   handlers.onStrokeStart
 * @param {(point: Point) => void} handlers.onStrokeMove
 * @param {() => void} handlers.onStrokeEnd
 * @param {() => void} handlers.onStrokeCancel the stroke became another gesture
 * @param {(point: ?Point, pointerType: string) => void} handlers.onHover null: left
 * @param {() => void} handlers.onViewportChange
 */
export function listenForGestures(canvas, viewport, handlers) {
  /** Pressed pointers by id: {x, y, start}, CSS pixels. */
  const activePointers = new Map();
  /** "pan", "stroke", "pinch", "tap-or-pan" (not decided yet), or null. */
  let gesture = null;

  const canvasPosition = (event) => {
    const canvasRect = canvas.getBoundingClientRect();
    return { x: event.clientX - canvasRect.left, y: event.clientY - canvasRect.top };
  };
  const toImagePoint = ({ x, y }) => viewport.toImage(x, y);
  const readModifiers = (event) => ({
    isRightButton: event.button === 2,
    shift: event.shiftKey,
    alt: event.altKey,
    ctrl: event.ctrlKey || event.metaKey,
    isHandTool: handlers.getTool() === "hand",
  });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId); // moves outside the canvas count as well
    const position = canvasPosition(event);
    activePointers.set(event.pointerId, { ...position, start: position });
    if (activePointers.size === 2) {
      // A second finger turns whatever the first one did into a pinch.
      if (gesture === "stroke") handlers.onStrokeCancel();
      gesture = "pinch";
    } else if (activePointers.size === 1) {
      gesture = startGesture(event, position);
    }
    event.preventDefault();
  });

  /** Starts the gesture of the first pointer and returns its name. */
  function startGesture(event, position) {
    const tool = handlers.getTool();
    if (event.button === 1) return "pan";
    if (tool === "brush" || tool === "eraser") {
      const isRightButton = event.button === 2;
      handlers.onStrokeStart(toImagePoint(position), { isRightButton });
      return "stroke";
    }
    // A finger and the hand tool may tap or pan: the first moves decide.
    if (event.pointerType === "touch" || tool === "hand") return "tap-or-pan";
    handlers.onTap(toImagePoint(position), readModifiers(event));
    return null;
  }

  canvas.addEventListener("pointermove", (event) => {
    const position = canvasPosition(event);
    const pointer = activePointers.get(event.pointerId);
    handlers.onHover(toImagePoint(position), event.pointerType);
    if (!pointer) return;
    if (gesture === "pinch") pinchTo(event.pointerId, position);
    // 1. Decide whether this is a tap or a pan.
    const { start } = pointer;
    const distance = Math.hypot(position.x - start.x, position.y - start.y);
    if (gesture === "tap-or-pan" && distance > TAP_MAX_MOVE) gesture = "pan";
    // 2. Move the image, or extend the stroke.
    if (gesture === "pan") {
      viewport.panBy(position.x - pointer.x, position.y - pointer.y);
      handlers.onViewportChange();
    }
    if (gesture === "stroke") {
      // Browsers merge the moves of a frame; strokes need each of them.
      const mergedEvents = event.getCoalescedEvents?.() ?? [];
      for (const moveEvent of mergedEvents.length ? mergedEvents : [event]) {
        handlers.onStrokeMove(toImagePoint(canvasPosition(moveEvent)));
      }
    }
    // 3. An undecided pointer keeps its position, so that a pan starts without a jump.
    if (gesture !== "tap-or-pan") Object.assign(pointer, position);
  });

  /** Pans and zooms so that both fingers stay over the same image pixels. */
  function pinchTo(pointerId, position) {
    const [firstPointer, secondPointer] = [...activePointers.values()];
    const moving = activePointers.get(pointerId);
    const resting = moving === firstPointer ? secondPointer : firstPointer;
    const distanceBefore = Math.hypot(moving.x - resting.x, moving.y - resting.y);
    const distanceAfter = Math.hypot(position.x - resting.x, position.y - resting.y);
    const center = { x: (position.x + resting.x) / 2, y: (position.y + resting.y) / 2 };
    // The center moves half as far as the moving finger.
    viewport.panBy((position.x - moving.x) / 2, (position.y - moving.y) / 2);
    viewport.zoomBy(distanceAfter / Math.max(distanceBefore, 1), center.x, center.y);
    handlers.onViewportChange();
  }

  const endPointer = (event) => {
    if (!activePointers.delete(event.pointerId)) return;
    // 1. The browser has taken the pointer, for example for a system gesture.
    if (event.type === "pointercancel") {
      if (gesture === "stroke") handlers.onStrokeCancel();
      gesture = null;
    }
    // 2. Complete the gesture.
    if (gesture === "tap-or-pan") {
      handlers.onTap(toImagePoint(canvasPosition(event)), readModifiers(event));
    }
    if (gesture === "stroke") handlers.onStrokeEnd();
    // 3. A pinch lasts until both fingers are lifted; the second one never pans.
    if (gesture !== "pinch" || activePointers.size === 0) gesture = null;
    if (event.pointerType === "touch") handlers.onHover(null, "touch");
  };
  canvas.addEventListener("pointerup", endPointer);
  canvas.addEventListener("pointercancel", endPointer);
  canvas.addEventListener("pointerleave", () => handlers.onHover(null, "mouse"));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const isInLines = event.deltaMode === WheelEvent.DOM_DELTA_LINE;
    const wheelPixels = isInLines ? event.deltaY * WHEEL_LINE_HEIGHT : event.deltaY;
    // Browsers report a trackpad pinch as a wheel event with Ctrl.
    const zoomRate = event.ctrlKey ? TRACKPAD_PINCH_RATE : WHEEL_ZOOM_RATE;
    const { x, y } = canvasPosition(event);
    viewport.zoomBy(Math.exp(-wheelPixels * zoomRate), x, y);
    handlers.onViewportChange();
  }, { passive: false }); // passive listeners cannot prevent scrolling
}
