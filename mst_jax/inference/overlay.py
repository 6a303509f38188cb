"""Draw masks and clicks on an image."""

import cv2
import numpy as np
from jaxtyping import Bool, Real, UInt8

MASK_COLOR = (44, 130, 255)
"""RGB of the mask's tint and outline."""

_POSITIVE_COLOR, _NEGATIVE_COLOR = (20, 175, 75), (225, 40, 50)
_RIM_COLOR = (255, 255, 255)
_TINT_OPACITY = 0.45
# Sizes relative to the geometric mean of height and width, then their minimum in pixels:
# chosen by eye on images of 100, 640 and 4000 pixels.
_DOT_RADIUS, _MIN_DOT_RADIUS = 0.013, 2.5
_LINE_WIDTH, _MIN_LINE_WIDTH = 0.004, 1
_RIM_WIDTH = 0.35  # relative to the radius of the dot
_SUBPIXEL_BITS = 4  # OpenCV draws at sixteenths of a pixel


def draw_overlay(
    image: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    clicks: Real[np.ndarray, "n 3"] | None = None,
    *,
    color: tuple[int, int, int] = MASK_COLOR,
) -> UInt8[np.ndarray, "h w 3"]:
    """Tint the mask, draw its outline, then the clicks in order.

    For several objects call the function again on its result.

    Args:
        image: [h w 3] RGB; it is not changed.
        mask: [h w] True on the object; may be empty.
        clicks: [n 3] row, column and 1 = positive (green) or 0 = negative (red).
        color: RGB of the tint and of the outline, 0 to 255.

    Returns:
        [h w 3] a new image; dots and lines scale with its size.
    """
    # Clicks last, so that no outline hides them.
    drawn = _tint_mask(image, mask, color)
    mean_side = float(np.sqrt(mask.size))
    thickness = max(_MIN_LINE_WIDTH, round(_LINE_WIDTH * mean_side))
    _draw_outline(drawn, mask, color, thickness=thickness)
    for row, column, is_positive in () if clicks is None else np.asarray(clicks):
        _draw_dot(
            drawn,
            (float(row), float(column)),
            _POSITIVE_COLOR if is_positive else _NEGATIVE_COLOR,
            radius=max(_MIN_DOT_RADIUS, _DOT_RADIUS * mean_side),
        )
    return drawn


def _tint_mask(
    image: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    color: tuple[int, int, int],
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a copy of the image, blended with the color where the mask is True."""
    drawn = np.ascontiguousarray(image).copy()
    tint = np.asarray(color, np.float32)
    blended = (1 - _TINT_OPACITY) * drawn[mask] + _TINT_OPACITY * tint
    drawn[mask] = np.rint(blended).astype(np.uint8)
    return drawn


def _draw_outline(
    drawn: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    color: tuple[int, int, int],
    *,
    thickness: int,
) -> None:
    """Draw the border of the mask, including its holes, in place."""
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(drawn, contours, -1, color, thickness, cv2.LINE_AA)


def _draw_dot(
    drawn: UInt8[np.ndarray, "h w 3"],
    yx: tuple[float, float],
    color: tuple[int, int, int],
    *,
    radius: float,
) -> None:
    """Draw a filled circle with a white rim in place, antialiased."""
    scale = 1 << _SUBPIXEL_BITS
    center = (round(yx[1] * scale), round(yx[0] * scale))
    # The rim is a larger disk below the dot.
    for size, fill in ((radius * (1 + _RIM_WIDTH), _RIM_COLOR), (radius, color)):
        cv2.circle(
            drawn, center, round(size * scale), fill, -1, cv2.LINE_AA, _SUBPIXEL_BITS
        )
