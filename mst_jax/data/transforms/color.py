"""Change brightness, contrast and channels of an image by lookup tables of 256 values."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

# Probability of each color change, from both published recipes.
COLOR_PROB = 0.75


def draw_contrast_table(
    rng: np.random.Generator, *, brightness: float, contrast: tuple[float, float]
) -> UInt8[np.ndarray, "256 3"]:
    """Draw a lookup table that scales values by a contrast, then adds a brightness.

    Args:
        rng: Random generator.
        brightness: Max change as a fraction of 255, either way.
        contrast: Min and max change of the factor 1.

    Returns:
        [256 3] uint8 new values of each channel, the same for all three.
    """
    # All numbers are drawn, so that the random stream does not depend on the outcome.
    new_values = np.arange(256.0)
    contrast_factor = 1.0 + rng.uniform(*contrast)
    brightness_offset = 255.0 * rng.uniform(-brightness, brightness)
    if rng.random() < COLOR_PROB:
        new_values = new_values * contrast_factor + brightness_offset
    value_column = np.clip(np.rint(new_values), 0, 255).astype(np.uint8)
    return np.repeat(value_column[:, None], 3, axis=1)


def draw_rgb_shift_table(
    rng: np.random.Generator, *, rgb_shift: int
) -> UInt8[np.ndarray, "256 3"]:
    """Draw a lookup table that shifts each channel by its own amount.

    Args:
        rng: Random generator.
        rgb_shift: Max shift of a channel, 0 to 255, either way.

    Returns:
        [256 3] uint8 new values of each channel.
    """
    channel_shifts = rng.integers(-rgb_shift, rgb_shift + 1, size=3)
    channel_shifts = (
        channel_shifts if rng.random() < COLOR_PROB else np.zeros_like(channel_shifts)
    )
    # Clipped before the conversion: uint8 would wrap around.
    return np.clip(np.arange(256)[:, None] + channel_shifts, 0, 255).astype(np.uint8)


def compose_tables(
    first_table: UInt8[np.ndarray, "256 3"], second_table: UInt8[np.ndarray, "256 3"]
) -> UInt8[np.ndarray, "256 3"]:
    """Return the table that applies `first_table` and then `second_table`."""
    return np.take_along_axis(second_table, first_table.astype(np.intp), axis=0)


def apply_color_table(
    image: UInt8[np.ndarray, "h w 3"], table: UInt8[np.ndarray, "256 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Replace each channel of an image by its column of a lookup table.

    Args:
        image: [h w 3] uint8 RGB.
        table: [256 3] new value of each old value, one column a channel.
    """
    # OpenCV takes a table of shape [256 1 3].
    recolored_image = cv2.LUT(image, np.ascontiguousarray(table[:, None, :]))
    return np.asarray(recolored_image, np.uint8)
