"""Stretch intensities of any range to 8 bits, by the values that are present."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Num, UInt8

# Percentiles of the values other than 0 that become black and white.
_BLACK_PERCENTILE, _WHITE_PERCENTILE = 0.5, 99.5


def find_value_range(values: Num[np.ndarray, "*shape"]) -> tuple[float, float]:
    """Return the values that become black and white.

    They are the 0.5th and the 99.5th percentile of the values other than 0, so that a few
    extreme pixels do not matter.

    Args:
        values: Finite intensities of any shape.
    """
    # Zero is the air around a body or the border of a scan, which lowers the percentiles.
    nonzero_values = values[values != 0]
    if not nonzero_values.size:
        return 0.0, 1.0
    black_value, white_value = np.percentile(
        nonzero_values, (_BLACK_PERCENTILE, _WHITE_PERCENTILE)
    )
    # All values other than 0 are equal: 0 has to stay different from them.
    if black_value == white_value:
        black_value, white_value = min(0.0, white_value), max(0.0, white_value)
    return float(black_value), float(white_value)


def stretch_to_8_bits(
    values: Num[np.ndarray, "*shape"], black_value: float, white_value: float
) -> UInt8[np.ndarray, "*shape"]:
    """Map intensities linearly to 0 to 255.

    Args:
        values: Finite intensities of any shape.
        black_value: Intensity that becomes 0, with all below.
        white_value: Intensity that becomes 255, with all above.
    """
    # float32 holds all 16-bit values; 64 bits need float64.
    dtype = np.float64 if values.dtype.itemsize == 8 else np.float32
    scaled_values = (
        (np.clip(values.astype(dtype), black_value, white_value) - black_value)
        / max(white_value - black_value, 1e-12)
        * 255.0
    )
    return np.rint(scaled_values).astype(np.uint8)


def stretch_present_values(
    values: Num[np.ndarray, "h w c"], present: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w c"]:
    """Stretch an image to 8 bits by the values of the pixels that count.

    Args:
        values: [h w c] intensities.
        present: [h w] True on the pixels that count; all others become black.
    """
    value_range = find_value_range(values[present])
    finite_values = np.where(present[..., None], values, values.dtype.type(0))
    stretched = stretch_to_8_bits(finite_values, *value_range)
    return np.where(present[..., None], stretched, np.uint8(0))
