"""Deformable reading as one would explain it: four loops, NumPy, float64."""

import numpy as np


def read_cell(level: np.ndarray, row: int, column: int) -> np.ndarray:
    """A cell [d] of a map [h w d]; 0 outside."""
    h, w, d = level.shape
    inside = 0 <= row < h and 0 <= column < w
    return level[row, column] if inside else np.zeros(d)


def read_place(level: np.ndarray, place_yx: np.ndarray) -> np.ndarray:
    """Bilinear reading [d] of a map [h w d] between its cells."""
    row, column = np.floor(place_yx).astype(int)
    y, x = place_yx - (row, column)
    above = (1 - x) * read_cell(level, row, column)
    above += x * read_cell(level, row, column + 1)
    below = (1 - x) * read_cell(level, row + 1, column)
    below += x * read_cell(level, row + 1, column + 1)
    return (1 - y) * above + y * below


def read_levels_slowly(values, places_yx, weights, *, sizes) -> np.ndarray:
    """What `layers.deformable_attention.read_levels` returns, in float64."""
    values, places_yx, weights = (
        np.asarray(x, np.float64) for x in (values, places_yx, weights)
    )
    ends = np.cumsum([h * w for h, w in sizes])[:-1]
    out = np.zeros((*places_yx.shape[:3], values.shape[-1]))
    for b, n, a, number, p in np.ndindex(*places_yx.shape[:-1]):
        cells = np.split(values[b, :, a], ends)[number]
        level = cells.reshape(*sizes[number], -1)
        reading = read_place(level, places_yx[b, n, a, number, p])
        out[b, n, a] += weights[b, n, a, number, p] * reading
    return out
