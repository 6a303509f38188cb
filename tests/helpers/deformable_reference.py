"""Deformable sampling by its definition: nested loops in NumPy, in float64."""

import numpy as np


def read_cell(level_map: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return a cell [d] of a map [h w d]; 0 outside."""
    h, w, d = level_map.shape
    is_inside = 0 <= row < h and 0 <= column < w
    return level_map[row, column] if is_inside else np.zeros(d)


def sample_point(level_map: np.ndarray, point_yx: np.ndarray) -> np.ndarray:
    """Return the bilinear sample [d] of a map [h w d] between its cells."""
    row, column = np.floor(point_yx).astype(int)
    y, x = point_yx - (row, column)
    upper = (1 - x) * read_cell(level_map, row, column)
    upper += x * read_cell(level_map, row, column + 1)
    lower = (1 - x) * read_cell(level_map, row + 1, column)
    lower += x * read_cell(level_map, row + 1, column + 1)
    return (1 - y) * upper + y * lower


def sample_levels_slowly(
    values, sampling_points_yx, attention_weights, *, level_sizes
) -> np.ndarray:
    """Return what `layers.deformable_attention.sample_levels` returns, in float64."""
    values, sampling_points_yx, attention_weights = (
        np.asarray(x, np.float64)
        for x in (values, sampling_points_yx, attention_weights)
    )
    boundaries = np.cumsum([h * w for h, w in level_sizes])[:-1]
    weighted_sums = np.zeros((*sampling_points_yx.shape[:3], values.shape[-1]))
    for b, n, a, level, p in np.ndindex(*sampling_points_yx.shape[:-1]):
        level_cells = np.split(values[b, :, a], boundaries)[level]
        level_map = level_cells.reshape(*level_sizes[level], -1)
        sample = sample_point(level_map, sampling_points_yx[b, n, a, level, p])
        weighted_sums[b, n, a] += attention_weights[b, n, a, level, p] * sample
    return weighted_sums
