"""Which part of a picture is seen: a square window, drawn, tilted and cut out.

Enlarging, padding, turning a little and cropping are one step: the window of the source
that will be seen is drawn first, and only it is resized.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mst_jax.data.example import Sample

TILT_PROB = 0.75  # of shifting and rotating, from AdaptiveClick's published recipe
WINDOW_TRIES = 5


class Window(NamedTuple):
    """A square of the source, in whole pixels; may reach beyond the picture.

    Attributes:
        top: first row.
        left: first column.
        side: rows and columns.
        angle: degrees by which what is seen turns about the window's middle,
            counter-clockwise.
    """

    top: int
    left: int
    side: int
    angle: float = 0.0


def draw_anchor(
    rng: np.random.Generator, target: Bool[np.ndarray, "h w"]
) -> tuple[int, int]:
    """Draws (row, column) evenly among the target's pixels; it must not be empty."""
    pixels = np.flatnonzero(target)
    if not pixels.size:
        raise ValueError("the target is empty; leave such pictures out of training")
    row, column = divmod(int(pixels[rng.integers(pixels.size)]), target.shape[1])
    return row, column


def draw_window(
    rng: np.random.Generator,
    target: Bool[np.ndarray, "h w"],
    anchor: tuple[int, int],
    *,
    side: int,
    min_kept: float = 0.25,
) -> Window:
    """Draws a square that contains the anchor and a fair part of the target.

    Where the picture is shorter than the square, all of it is inside, at a place drawn
    evenly; elsewhere the square stays within the picture.

    Args:
        rng: source of chance.
        target: [h w] the wanted object.
        anchor: (row, column) that must be inside.
        side: of the square, in pixels.
        min_kept: wanted share of the target, or of the square where that is smaller; of
            five squares drawn the first with so much is taken, else the one with most.
    """
    wanted = min_kept * min(int(target.sum()), side**2)
    best, most = None, -1
    for _ in range(WINDOW_TRIES):
        top, left = (
            _draw_start(rng, (at, at), size, side)
            for at, size in zip(anchor, target.shape, strict=True)
        )
        rows = slice(max(top, 0), top + side)
        seen = int(np.count_nonzero(target[rows, max(left, 0) : left + side]))
        if seen > most:
            best, most = Window(top, left, side), seen
        if seen >= wanted:
            break
    return best


def draw_close_window(
    rng: np.random.Generator,
    target: Bool[np.ndarray, "h w"],
    *,
    sides: tuple[float, float],
) -> Window:
    """Draws a square around all of the target, as zoom shows it after a click.

    Args:
        rng: source of chance.
        target: [h w] the wanted object; it must not be empty.
        sides: least and most side, in longer sides of the target's box, 1 or more; its
            logarithm is drawn evenly. The picture's longer side is the most in any case.
    """
    ends = [np.flatnonzero(target.any(axis))[[0, -1]] for axis in (1, 0)]
    box = max(int(last - first) + 1 for first, last in ends)
    times = np.exp(rng.uniform(*np.log(sides)))
    side = round(min(times * box, max(target.shape)))
    top, left = (
        _draw_start(rng, (int(first), int(last)), size, side)
        for (first, last), size in zip(ends, target.shape, strict=True)
    )
    return Window(top, left, side)


def tilt_window(
    rng: np.random.Generator,
    window: Window,
    shape: tuple[int, int],
    *,
    shift: float,
    rotate: float,
) -> Window:
    """Moves and turns a window a little, with probability 0.75.

    Args:
        rng: source of chance.
        window: as drawn, upright.
        shape: height and width of the picture in pixels.
        shift: most movement along each axis, as a share of the picture.
        rotate: most turn to either side, in degrees.
    """
    moves = rng.uniform(-shift, shift, size=2)
    angle = float(rng.uniform(-rotate, rotate))
    if rng.random() >= TILT_PROB:
        return window
    down, right = (round(move * size) for move, size in zip(moves, shape, strict=True))
    return Window(window.top + down, window.left + right, window.side, angle)


def cut_window(sample: Sample, window: Window, *, crop: int) -> Sample:
    """Resizes a window of the sample to [crop crop]; what lies outside is padding.

    The picture is smoothed between pixels, a role is that of the nearest pixel.
    """
    cut = _cut_turned if window.angle else _cut_upright
    roles = (sample.target, sample.valid, sample.others)
    planes = (sample.image, *(role.view(np.uint8) for role in roles))
    image, *roles = cut(planes, window, crop)
    return Sample(image, *(role.view(bool) for role in roles))


def _cut_upright(
    planes: tuple[np.ndarray, ...], window: Window, crop: int
) -> list[np.ndarray]:
    """Cuts, resizes and pads arrays [h w *c], the first of them smoothly."""
    height, width = planes[0].shape[:2]
    factor = crop / window.side
    top, bottom = max(window.top, 0), min(window.top + window.side, height)
    left, right = max(window.left, 0), min(window.left + window.side, width)
    y0, y1 = _to_output(top - window.top, bottom - window.top, factor)
    x0, x1 = _to_output(left - window.left, right - window.left, factor)
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    cut = []
    for plane in planes:
        how = cv2.INTER_NEAREST_EXACT if cut else smooth
        empty = np.zeros((crop, crop, *plane.shape[2:]), np.uint8)
        if bottom > top and right > left:  # else all is padding
            empty[y0:y1, x0:x1] = cv2.resize(
                plane[top:bottom, left:right], (x1 - x0, y1 - y0), interpolation=how
            )
        cut.append(empty)
    return cut


def _cut_turned(
    planes: tuple[np.ndarray, ...], window: Window, crop: int
) -> list[np.ndarray]:
    """Reads arrays [h w *c] at turned places, the first of them smoothly."""
    place = _to_source(window, crop)
    cut = []
    for plane in planes:
        how = cv2.INTER_NEAREST if cut else cv2.INTER_LINEAR
        flags = how | cv2.WARP_INVERSE_MAP
        cut.append(cv2.warpAffine(plane, place, (crop, crop), flags=flags))
    return cut


def _to_source(window: Window, crop: int) -> Float[np.ndarray, "2 3"]:
    """Matrix from output pixels (x, y, 1) to the source's (x, y), as OpenCV has them."""
    angle, step = np.deg2rad(window.angle), window.side / crop
    turn = step * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    middle = np.array([window.left, window.top]) + (window.side - 1) / 2
    offset = middle - turn @ np.full(2, (crop - 1) / 2)
    return np.column_stack([turn, offset])


def _draw_start(
    rng: np.random.Generator, wanted: tuple[int, int], size: int, side: int
) -> int:
    """Start of `side` pixels along one axis, the first and the last wanted among them.

    Within the picture where that is longer, else around all of it.
    """
    if side >= size:
        return int(rng.integers(size - side, 1))
    first, last = wanted
    return int(rng.integers(max(0, last - side + 1), min(first, size - side) + 1))


def _to_output(start: int, stop: int, factor: float) -> tuple[int, int]:
    """The output rows that a piece of the window fills, at least one."""
    last = max(round(stop * factor), 1)
    return min(round(start * factor), last - 1), last
