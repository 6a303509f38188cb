"""Turn a box into a prompt for models that know clicks and a previous mask.

The filled box is the previous mask, and the click is on its center.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from mst_jax.inference.click_session import Click, ClickSession


def parse_box(
    box: Any, height: int, width: int, *, unit: tuple[float, float] = (1.0, 1.0)
) -> Float[np.ndarray, " 4"]:
    """Check a box and clip it to the image.

    Args:
        box: [4] or [1 4] left, top, right, bottom.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        unit: Width and height in pixels of a coordinate of 1.

    Returns:
        [4] left, top, right, bottom in pixels, inside the image.

    Raises:
        ValueError: Another shape, several boxes, numbers that are not finite, or a box
            without a pixel of the image.
    """
    try:
        corners = np.asarray(box, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"box is a {type(box).__name__} of other values than numbers, expected "
            "[x0, y0, x1, y1]"
        ) from None
    if corners.ndim == 2 and corners.shape[1] == 4 and len(corners) > 1:
        raise ValueError(
            f"there are {len(corners)} boxes, expected one; call predict once for each"
        )
    if corners.shape not in ((4,), (1, 4)) or not np.isfinite(corners).all():
        values = corners.tolist() if corners.size <= 4 else list(corners.shape)
        raise ValueError(
            f"box is {values}, expected four finite numbers [x0, y0, x1, y1]; a mask is "
            "passed as mask_input"
        )
    corners = corners.reshape(4) * np.tile(unit, 2)
    left, top, right, bottom = corners
    if left >= right or top >= bottom:
        raise ValueError(
            f"box is {corners.tolist()}, expected [x0, y0, x1, y1] with x0 < x1 and "
            "y0 < y1; x1 and y1 are a corner, not width and height"
        )
    is_outside = left > width - 1 or top > height - 1 or right < 0 or bottom < 0
    if is_outside:
        raise ValueError(
            f"box {corners.tolist()} lies outside the image of {height} rows and "
            f"{width} columns"
        )
    # Detectors return boxes that end a little outside the image.
    return np.clip(corners, 0, [width - 1, height - 1] * 2)


def draw_box(
    corners: Float[np.ndarray, " 4"], height: int, width: int
) -> Float[np.ndarray, "{height} {width}"]:
    """Draw a box as a mask, with probability 1 inside and 0 outside.

    Args:
        corners: [4] left, top, right, bottom in pixels, inside the image.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """
    left, top, right, bottom = np.rint(corners).astype(int)
    prob = np.zeros((height, width), np.float32)
    prob[top : bottom + 1, left : right + 1] = 1.0
    return prob


def center_of_box(corners: Float[np.ndarray, " 4"], session: ClickSession) -> Click:
    """Return a positive click on the center of a box.

    Args:
        corners: [4] left, top, right, bottom in pixels, inside the image.
        session: Session with the image.
    """
    left, top, right, bottom = corners
    return session.make_click((top + bottom) / 2, (left + right) / 2, True)
