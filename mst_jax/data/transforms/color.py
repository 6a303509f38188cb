"""Another light, another camera: new colours for a picture, as tables of 256 values."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

COLOUR_PROB = 0.75  # of each change of colour, from both published recipes


def light_table(
    rng: np.random.Generator, *, brightness: float, contrast: tuple[float, float]
) -> UInt8[np.ndarray, "256 3"]:
    """Draws new values for 0..255: times the contrast, plus the brightness."""
    values = np.arange(256.0)
    factor = 1.0 + rng.uniform(*contrast)
    offset = 255.0 * rng.uniform(-brightness, brightness)
    if rng.random() < COLOUR_PROB:
        values = values * factor + offset
    column = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(column[:, None], 3, axis=1)


def shift_table(
    rng: np.random.Generator, *, rgb_shift: int
) -> UInt8[np.ndarray, "256 3"]:
    """Draws new values for 0..255, each channel moved by its own amount."""
    shift = rng.integers(-rgb_shift, rgb_shift + 1, size=3)
    shift = shift if rng.random() < COLOUR_PROB else np.zeros_like(shift)
    return np.clip(np.arange(256)[:, None] + shift, 0, 255).astype(np.uint8)


def chain_tables(
    first: UInt8[np.ndarray, "256 3"], second: UInt8[np.ndarray, "256 3"]
) -> UInt8[np.ndarray, "256 3"]:
    """The table that does what `first` and then `second` do."""
    return np.take_along_axis(second, first.astype(np.intp), axis=0)


def recolour(
    image: UInt8[np.ndarray, "h w 3"], table: UInt8[np.ndarray, "256 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Looks every channel up in its column of the table."""
    return cv2.LUT(image, np.ascontiguousarray(table[:, None, :]))
