"""Detect masks that are not label maps: soft edges, interpolated labels, JPEG.

In a label map every value is an object. After anti-aliasing, resizing with interpolation or
JPEG compression, most values are only thin rims between two others, or specks.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Int32, Integer, Num

# Measured on 4,216 published label maps and masks, 2026-11, and on the same after blurring
# (sigma 0.7 to 10), JPEG (quality 50 to 100) and resizing (bilinear, bicubic, area; 0.5 to
# 4 times). The docs of each test below state what separates the two groups.
_MIN_VALUES = 3  # fewer may be an object with an uncertain border
_MIN_STRAY_PIXELS = 32
_MIN_STRAY_VALUES = 0.5  # of all values; label maps: at most 0.37
_MIN_STRAY_FRACTION = 0.015  # of the pixels on borders; label maps: at most 0.008
_MIN_BETWEEN_FRACTION = 0.2  # of the pixels on borders; label maps: at most 0.17
_MIN_GRADIENT_VALUES, _MIN_SMALL_STEPS = 16, 0.9
_MAX_SPECK_CONTRAST = 0.1  # of the largest value


class SmoothedMaskError(ValueError):
    """Report a mask that looks smoothed, which cannot be read as a label map."""

    def __init__(self, values: Num[np.ndarray, "h w *c"]) -> None:
        self._num_values = len(np.unique(values))
        super().__init__(self.describe("--binarize"))

    def describe(self, option: str) -> str:
        """Return the sentence of the error.

        Args:
            option: What the user sets to read the mask as one object.
        """
        return (
            f"looks smoothed: most of its {self._num_values} values are thin rims or "
            "specks (soft edges, resized with interpolation, or JPEG); save it without "
            f"smoothing, read it as one object with {option}, or, if every value is an "
            "object, save it with a palette"
        )


def is_smoothed(values: Integer[np.ndarray, "h w"]) -> bool:
    """Return whether a mask has soft edges, interpolated labels or traces of JPEG.

    Maps of many small, thin or touching objects are not smoothed.

    Args:
        values: [h w] values of a mask, at least 0.
    """
    # 1. Few values: a binary mask, or a few objects.
    areas = np.bincount(values.ravel())
    present_values = np.flatnonzero(areas[1:]) + 1
    if len(present_values) < _MIN_VALUES:
        return False
    # 2. Pixels strictly between two opposite neighbors, and specks of low contrast.
    pixels = np.pad(values.astype(np.int32), 1, mode="edge")
    is_between, is_border, num_equal = _compare_neighbors(pixels)
    is_stray = is_between | ((num_equal <= 1) & _has_low_contrast(pixels))
    num_border, num_stray = np.count_nonzero(is_border), np.count_nonzero(is_stray)
    if num_stray < _MIN_STRAY_PIXELS:
        return _is_gradient(pixels, len(present_values))
    # 3. Labels that were interpolated: every border is a ramp.
    if np.count_nonzero(is_between) >= _MIN_BETWEEN_FRACTION * num_border:
        return True
    # 4. Most values exist only on rims and in specks.
    stray_areas = np.bincount(values[is_stray], minlength=len(areas))
    is_stray_value = stray_areas[present_values] >= 0.5 * areas[present_values]
    if (
        is_stray_value.mean() >= _MIN_STRAY_VALUES
        and num_stray >= _MIN_STRAY_FRACTION * num_border
    ):
        return True
    return _is_gradient(pixels, len(present_values))


def _compare_neighbors(
    pixels: Int32[np.ndarray, "_ _"],
) -> tuple[
    Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"], Integer[np.ndarray, "h w"]
]:
    """Compare each pixel with the pairs of opposite neighbors, in four directions.

    Args:
        pixels: [h+2 w+2] values with a border of one pixel.

    Returns:
        [h w] True strictly between two opposite neighbors, [h w] True where any neighbor
        differs, and [h w] the number of equal neighbors.
    """
    center = pixels[1:-1, 1:-1]
    is_between, is_border = np.zeros(center.shape, bool), np.zeros(center.shape, bool)
    num_equal = np.zeros(center.shape, np.uint8)
    height, width = center.shape
    for row_step, column_step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before = pixels[1 - row_step :, 1 - column_step :][:height, :width]
        after = pixels[1 + row_step :, 1 + column_step :][:height, :width]
        is_between |= (before < center) & (center < after)
        is_between |= (before > center) & (center > after)
        is_border |= (before != center) | (after != center)
        num_equal += before == center
        num_equal += after == center
    return is_between, is_border, num_equal


def _has_low_contrast(pixels: Int32[np.ndarray, "_ _"]) -> Bool[np.ndarray, "h w"]:
    """Return [h w] True where a pixel differs little from its neighbors."""
    window = np.ones((3, 3), np.uint8)
    pixels_16_bit = pixels.astype(np.uint16)
    contrast = cv2.dilate(pixels_16_bit, window) - cv2.erode(pixels_16_bit, window)
    contrast = contrast[1:-1, 1:-1]
    return contrast <= _MAX_SPECK_CONTRAST * pixels.max()


def _is_gradient(pixels: Int32[np.ndarray, "_ _"], num_values: int) -> bool:
    """Return whether many values follow each other in steps of at most 2."""
    steps = np.concatenate(
        [np.abs(np.diff(pixels, axis=axis)).ravel() for axis in (0, 1)]
    )
    steps = steps[steps > 0]
    return bool(
        num_values >= _MIN_GRADIENT_VALUES and (steps <= 2).mean() >= _MIN_SMALL_STEPS
    )
