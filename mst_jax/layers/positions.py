"""Positions of a grid's cells as vectors, by a formula."""

import numpy as np
from jaxtyping import Float

LONGEST_WAVE = 10000.0


def sine_positions(
    height: int, width: int, channels: int
) -> Float[np.ndarray, "h w c"]:
    """Sines and cosines of a cell's row, then of its column; a constant of the program.

    Cells are counted from 1 and scaled so that a whole side is one turn; pairs (sin, cos)
    of ever slower waves follow each other.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
    Appendix A.4, in the scaled form of its program.

    Args:
        height: cells.
        width: cells.
        channels: the first half tells the row, the second the column.

    Raises:
        ValueError: the halves cannot be cut into pairs.
    """
    if channels % 4:
        raise ValueError(
            f"sine positions of {channels} channels; choose a multiple of 4"
        )
    shape = (height, width, channels // 2)
    rows = np.broadcast_to(_waves(height, channels // 2)[:, None], shape)
    columns = np.broadcast_to(_waves(width, channels // 2)[None], shape)
    return np.concatenate([rows, columns], axis=-1).astype(np.float32)


def _waves(size: int, channels: int) -> Float[np.ndarray, "n c"]:
    """Pairs (sin, cos) for each of `size` cells in a row."""
    turn = 2 * np.pi * np.arange(1, size + 1) / (size + 1e-6)
    slower = LONGEST_WAVE ** (2 * np.arange(channels // 2) / channels)
    angle = turn[:, None] / slower
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(size, channels)
