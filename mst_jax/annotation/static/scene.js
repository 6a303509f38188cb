/** Draws the picture, its masks and clicks, and what the pointer is about to do. */

import { SCALE } from "./colours.js";

const POSITIVE = "#0072b2";
const NEGATIVE = "#d55e00";
const FINE = "#ffd60a"; // as `predict --tokens` draws them
const COARSE = "#40c4ff";
const SHARP = 3; // from this scale on, pixels are shown as squares
const OTHERS = 0.7; // opacity of objects beside that of the current one
export const DOT = 8; // radius of a click in screen pixels

/**
 * Draws everything anew.
 * @param {CanvasRenderingContext2D} pen scaled to screen pixels
 * @param {object} scene
 *   camera, work, settings; `stroke` in progress; `extras` {probability, tokens} of the
 *   current object; `bare`: the picture alone; `hovered` click; `brush` {x, y, width}
 */
export function draw(pen, scene) {
  const { camera, work } = scene;
  pen.clearRect(0, 0, camera.canvas.width, camera.canvas.height);
  if (!work) return;
  onPicture(pen, camera, () => {
    pen.imageSmoothingEnabled = camera.scale < SHARP;
    pen.drawImage(work.picture, 0, 0);
    if (scene.bare) return;
    drawMasks(pen, scene);
    if (scene.settings.tokens && scene.extras.tokens) drawTokens(pen, scene);
  });
  if (!scene.bare && work.current) drawClicks(pen, scene);
  if (scene.brush) drawBrush(pen, camera, scene.brush);
}

function onPicture(pen, camera, paint) {
  pen.save();
  pen.translate(camera.x, camera.y);
  pen.scale(camera.scale, camera.scale);
  paint();
  pen.restore();
}

function drawMasks(pen, { work, settings, stroke, extras, camera }) {
  const opacity = settings.opacity / 100;
  if (settings.view === "probability" && extras.probability) {
    pen.globalAlpha = (1 + opacity) / 2;
    pen.drawImage(extras.probability, 0, 0);
  }
  // Boxes of tokens and fill would cover each other.
  const isFilled = settings.view === "fill" && !(settings.tokens && extras.tokens);
  for (const item of work.items.filter(({ hidden }) => !hidden)) {
    const isCurrent = item === work.current;
    if (stroke?.item === item) {
      pen.globalAlpha = Math.max(opacity, 0.3);
      pen.drawImage(stroke.canvas, 0, 0);
    } else if (!item.mask.empty) {
      pen.globalAlpha = isCurrent ? opacity : opacity * OTHERS;
      const { left, top } = item.mask;
      if (isFilled) pen.drawImage(item.mask.tinted(item.colour), left, top);
      pen.globalAlpha = 1;
      drawOutline(pen, item, camera.scale, isCurrent);
    }
  }
  pen.globalAlpha = 1;
}

function drawOutline(pen, item, scale, isCurrent) {
  pen.lineCap = "square";
  pen.lineWidth = (isCurrent ? 4 : 3) / scale;
  pen.strokeStyle = "rgb(0 0 0 / 0.45)";
  pen.stroke(item.mask.outline);
  pen.lineWidth = (isCurrent ? 2 : 1.2) / scale;
  pen.strokeStyle = item.colour;
  pen.stroke(item.mask.outline);
}

function drawTokens(pen, { extras, camera }) {
  const { fine, coarse } = extras.tokens;
  for (const [colour, width] of [["rgb(0 0 0 / 0.5)", 4], [COARSE, 2]]) {
    pen.lineWidth = width / camera.scale;
    pen.strokeStyle = colour;
    for (const box of coarse) pen.strokeRect(...box);
  }
  pen.lineWidth = 1 / camera.scale;
  pen.strokeStyle = FINE;
  pen.fillStyle = FINE;
  for (const box of fine) {
    pen.globalAlpha = 0.35;
    pen.fillRect(...box);
    pen.globalAlpha = 1;
    pen.strokeRect(...box);
  }
}

function drawClicks(pen, { work, camera, hovered }) {
  const { clicks, pending } = work.current;
  for (const click of [...clicks, ...pending]) {
    const { x, y } = camera.toCanvas(click.x + 0.5, click.y + 0.5);
    const isHovered = hovered === click;
    pen.globalAlpha = pending.includes(click) ? 0.6 : 1;
    drawDot(pen, x, y, click.positive, isHovered ? DOT + 3 : DOT);
  }
  pen.globalAlpha = 1;
}

function drawDot(pen, x, y, isPositive, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = isPositive ? POSITIVE : NEGATIVE;
  pen.shadowColor = "rgb(0 0 0 / 0.5)";
  pen.shadowBlur = 3;
  pen.fill();
  pen.shadowBlur = 0;
  pen.lineWidth = 2;
  pen.lineCap = "butt";
  pen.strokeStyle = "#fff";
  pen.stroke();
  pen.beginPath();
  pen.moveTo(x - radius / 2, y);
  pen.lineTo(x + radius / 2, y);
  if (isPositive) {
    pen.moveTo(x, y - radius / 2);
    pen.lineTo(x, y + radius / 2);
  }
  pen.stroke();
}

function drawBrush(pen, camera, { x, y, width }) {
  const at = camera.toCanvas(x, y);
  for (const [colour, line] of [["rgb(0 0 0 / 0.6)", 3], ["#fff", 1.2]]) {
    pen.beginPath();
    pen.arc(at.x, at.y, width / 2, 0, 2 * Math.PI);
    pen.lineWidth = line;
    pen.strokeStyle = colour;
    pen.stroke();
  }
}

/** Colours a grey map from dark violet (0) to yellow (255). */
export function coloured(grey) {
  const canvas = new OffscreenCanvas(grey.width, grey.height);
  const context = canvas.getContext("2d");
  context.drawImage(grey, 0, 0);
  const pixels = context.getImageData(0, 0, grey.width, grey.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const step = pixels.data[at] * 3;
    pixels.data.set(SCALE.subarray(step, step + 3), at);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}
