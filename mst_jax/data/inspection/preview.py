"""A contact sheet: some pictures of a set with their objects, to be looked at."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Int, UInt8, UInt16

from mst_jax.data.example import IGNORED, Example, list_objects

_WIDTH, _HEIGHT, _GAP, _LINE = 280, 230, 10, 20  # pixels of a cell, between, of text
_PAPER, _INK = 250, 40  # grey values
_TINT = 0.45  # how much of a pixel its object's colour makes up
_GOLDEN = 0.61803398875  # hues this far apart are told apart best
_LETTERS = 38  # that fit under a picture


def pick_evenly(num: int, *, most: int) -> Int[np.ndarray, " k"]:
    """At most `most` numbers from 0 to num - 1, evenly spread, the first and last in."""
    return np.unique(np.linspace(0, num - 1, min(num, most)).round().astype(np.int64))


def draw_sheet(
    examples: Sequence[tuple[str, Example]], *, columns: int = 5
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws pictures in rows, each with its objects tinted and outlined.

    Ignored pixels are striped; under a picture stand the title, its size and the
    number of its objects.

    Args:
        examples: titles and pictures, at least one.
        columns: pictures in a row.
    """
    cells = [_draw_cell(title, example) for title, example in examples]
    columns = min(columns, len(cells))
    blank = np.full_like(cells[0], _PAPER)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.hstack(cells[k : k + columns]) for k in range(0, len(cells), columns)]
    return np.pad(
        np.vstack(rows), ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=_PAPER
    )


def tint_objects(
    image: UInt8[np.ndarray, "h w 3"], layers: UInt16[np.ndarray, "l h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with each object in a colour of its own, an outline around it."""
    painted = image.astype(np.float32)
    lines = np.zeros(image.shape[:2], bool)
    for layer, labels in enumerate(layers):
        colours = _colours(int(labels.max(initial=0)), start=0.37 * layer)
        filled = (labels > 0) & (labels < IGNORED)
        shade = colours[np.where(filled, labels, 0)]
        painted[filled] += _TINT * (shade - painted)[filled]
        lines |= _borders(np.where(filled, labels, np.uint16(0)))
        ignored = labels == IGNORED
        stripes = np.add(*np.indices(labels.shape)) // 3 % 2 == 0
        painted[ignored & stripes] = 255.0
    painted[lines] = 255.0
    return np.rint(painted).astype(np.uint8)


def _draw_cell(title: str, example: Example) -> UInt8[np.ndarray, "_ _ 3"]:
    height, width = example.image.shape[:2]
    scale = min(_WIDTH / width, _HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(example.image, size, interpolation=how)
    maps = [
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        for labels in example.layers
    ]
    cell = np.full(
        (_HEIGHT + 2 * _LINE + _GAP, _WIDTH + _GAP, 3), _PAPER, dtype=np.uint8
    )
    top, left = (_HEIGHT - size[1]) // 2, (_WIDTH - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = tint_objects(
        small, np.stack(maps)
    )
    num_layers = len(example.layers)
    num_objects = len(list_objects(example.layers))
    count = f"{height}x{width}, {num_objects} object{'s' * (num_objects != 1)}"
    count += f" in {num_layers} layers" * (num_layers > 1)
    for line, text in enumerate((_shorten(title), count)):
        place = (2, _HEIGHT + _LINE * (line + 1) - 5)
        ink = (_INK + 60 * line,) * 3
        cv2.putText(
            cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, ink, 1, cv2.LINE_AA
        )
    return cell


def _shorten(title: str) -> str:
    plain = title.encode("ascii", "replace").decode()  # OpenCV draws no other letters
    half = (_LETTERS - 3) // 2
    return plain if len(plain) <= _LETTERS else f"{plain[:half]}...{plain[-half:]}"


def _colours(num: int, *, start: float) -> np.ndarray:
    """Bright colours [num + 1, 3] by label, 0 to 255."""
    hues = (start + _GOLDEN * np.arange(num + 1)) % 1.0
    return np.array([colorsys.hsv_to_rgb(hue, 1.0, 1.0) for hue in hues]) * 255.0


def _borders(labels: UInt16[np.ndarray, "h w"]) -> np.ndarray:
    """True where the pixel below or to the right has another label."""
    lines = np.zeros(labels.shape, bool)
    lines[:-1] |= labels[:-1] != labels[1:]
    lines[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return lines
