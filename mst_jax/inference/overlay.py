"""Picture, mask and clicks -> a picture to look at."""

import cv2
import numpy as np
from jaxtyping import Bool, Real, UInt8

OBJECT = (44, 130, 255)
"""RGB of the mask's tint and outline."""

_GREEN, _RED, _WHITE = (20, 175, 75), (225, 40, 50), (255, 255, 255)
_TINT = 0.45
# Sizes as shares of the geometric mean of height and width, then their least in pixels:
# chosen by eye on pictures of 100, 640 and 4000 pixels.
_DOT, _LEAST_DOT = 0.013, 2.5
_RIM = 0.35  # of the dot's radius
_LINE, _LEAST_LINE = 0.004, 1
_BITS = 4  # OpenCV draws at sixteenths of a pixel


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    clicks: Real[np.ndarray, "n 3"] | None = None,
    *,
    color: tuple[int, int, int] = OBJECT,
) -> UInt8[np.ndarray, "h w 3"]:
    """Tints the mask, draws its outline, then the clicks in their order.

    Several objects of one picture are drawn by calling it again on its result.

    Args:
        image: [h w 3] RGB; it is not changed.
        mask: [h w] True on the object; may be empty.
        clicks: [n 3] row, column and 1 = positive (green) or 0 = negative (red).
        color: RGB of the tint and of the outline, 0 to 255.

    Returns:
        [h w 3] a new picture; dots and lines grow with the picture's size.
    """
    picture = _tint(image, mask, color)
    side = float(np.sqrt(mask.size))
    _draw_outline(picture, mask, color, thickness=max(_LEAST_LINE, round(_LINE * side)))
    for row, column, positive in () if clicks is None else np.asarray(clicks):
        _draw_dot(
            picture,
            (float(row), float(column)),
            _GREEN if positive else _RED,
            radius=max(_LEAST_DOT, _DOT * side),
        )
    return picture


def _tint(image, mask, color):
    """A copy of the image, blended with the colour where the mask is True."""
    picture = np.ascontiguousarray(image).copy()
    tint = np.asarray(color, np.float32)
    picture[mask] = np.rint((1 - _TINT) * picture[mask] + _TINT * tint).astype(np.uint8)
    return picture


def _draw_outline(picture, mask, color, *, thickness):
    """Draws the border of the mask, holes included, into the picture."""
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(picture, contours, -1, color, thickness, cv2.LINE_AA)


def _draw_dot(picture, yx, color, *, radius):
    """Draws a filled circle with a white rim into the picture, antialiased."""
    one = 1 << _BITS
    center = (round(yx[1] * one), round(yx[0] * one))
    for size, fill in ((radius * (1 + _RIM), _WHITE), (radius, color)):
        cv2.circle(picture, center, round(size * one), fill, -1, cv2.LINE_AA, _BITS)
