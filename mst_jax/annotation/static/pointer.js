/** Mouse, pen and fingers on the canvas become taps, strokes, and moves of the picture. */

const STILL = 8; // a finger that moves less, in screen pixels, has tapped
const WHEEL = 0.0018; // zoom of a wheel's pixel, as an exponent
const PINCH = 0.012; // the same for the pinch of a track pad
const LINE = 30; // pixels of a wheel that counts in lines

/**
 * Listens to the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {Camera} camera
 * @param {object} on
 *   tool() is "click", "brush", "eraser" or "hand"; tap(point, {right, shift, alt, ctrl,
 *   hand}); begin(point, {right, pressure}), go(point), end(), cancel() of a stroke;
 *   hover(point or null, kind); moved() after the picture was moved.
 *   Points are {x, y} in pixels of the picture.
 */
export function listen(canvas, camera, on) {
  const fingers = new Map();
  let doing = null; // "pan", "stroke", "maybe" (a finger that may tap) or "pinch"

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const point = ({ x, y }) => camera.toPicture(x, y);
  const keys = (event) => ({
    right: event.button === 2,
    shift: event.shiftKey,
    alt: event.altKey,
    ctrl: event.ctrlKey || event.metaKey,
    hand: on.tool() === "hand",
  });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    const at = place(event);
    fingers.set(event.pointerId, { ...at, from: at });
    if (fingers.size === 2) {
      if (doing === "stroke") on.cancel();
      doing = "pinch";
    } else if (fingers.size === 1) {
      doing = first(event, at);
    }
    event.preventDefault();
  });

  function first(event, at) {
    const tool = on.tool();
    if (event.button === 1) return "pan";
    if (tool === "brush" || tool === "eraser") {
      on.begin(point(at), { right: event.button === 2 });
      return "stroke";
    }
    if (event.pointerType === "touch" || tool === "hand") return "maybe";
    on.tap(point(at), keys(event));
    return null;
  }

  canvas.addEventListener("pointermove", (event) => {
    const at = place(event);
    const finger = fingers.get(event.pointerId);
    on.hover(point(at), event.pointerType);
    if (!finger) return;
    if (doing === "pinch") pinch(event.pointerId, at);
    const { from } = finger;
    const moved = Math.hypot(at.x - from.x, at.y - from.y);
    if (doing === "maybe" && moved > STILL) doing = "pan";
    if (doing === "pan") {
      camera.pan(at.x - finger.x, at.y - finger.y);
      on.moved();
    }
    if (doing === "stroke") {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length ? all : [event]) on.go(point(place(each)));
    }
    if (doing !== "maybe") Object.assign(finger, at);
  });

  function pinch(id, at) {
    const [one, two] = [...fingers.values()];
    const moving = fingers.get(id);
    const still = moving === one ? two : one;
    const before = Math.hypot(moving.x - still.x, moving.y - still.y);
    const after = Math.hypot(at.x - still.x, at.y - still.y);
    const middle = { x: (at.x + still.x) / 2, y: (at.y + still.y) / 2 };
    camera.pan((at.x - moving.x) / 2, (at.y - moving.y) / 2);
    camera.zoom(after / Math.max(before, 1), middle.x, middle.y);
    on.moved();
  }

  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (event.type === "pointercancel") {
      if (doing === "stroke") on.cancel();
      doing = null;
    }
    if (doing === "maybe") on.tap(point(place(event)), keys(event));
    if (doing === "stroke") on.end();
    if (doing !== "pinch" || fingers.size === 0) doing = null;
    if (event.pointerType === "touch") on.hover(null, "touch");
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => on.hover(null, "mouse"));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const moved = event.deltaMode === 1 ? event.deltaY * LINE : event.deltaY;
    const { x, y } = place(event);
    camera.zoom(Math.exp(-moved * (event.ctrlKey ? PINCH : WHEEL)), x, y);
    on.moved();
  }, { passive: false });
}
