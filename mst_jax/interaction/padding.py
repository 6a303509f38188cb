"""Pictures are padded to a few sizes, so that those of like size share a program."""

import numpy as np

# Pixels; the sides of padded pictures are multiples of it. Finer steps compile more often
# (1.5 s each on 2 cores), coarser ones waste more distances on padding.
BUCKET = 128


def padded_size(height: int, width: int, *, zoom: int | None) -> tuple[int, int]:
    """Rounds the sides of a picture up to whole buckets.

    Without zoom the network sees the picture itself, which therefore keeps its size.
    """
    if zoom is None:
        return height, width
    return -(-height // BUCKET) * BUCKET, -(-width // BUCKET) * BUCKET


def pad(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fills a map [h w ...] up with zeros, right and below: [1 height width ...]."""
    fill = [(0, size[0] - x.shape[0]), (0, size[1] - x.shape[1])]
    return np.pad(x, fill + [(0, 0)] * (x.ndim - 2))[None]
