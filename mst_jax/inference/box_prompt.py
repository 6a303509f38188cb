"""Turn a box into a prompt for models that know clicks and a region of interest.

The network sees the region around the box, and the click is on its center. A filled box as
previous mask is worse, see docs/inputs.md.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mst_jax.geometry import boxes
from mst_jax.inference.click_session import Click, ClickSession, to_click_slots
from mst_jax.interaction.zoom import EXPANSION_RATIO


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


def roi_of_box(
    corners: Float[np.ndarray, " 4"],
    clicks: tuple[Click, ...],
    session: ClickSession,
    *,
    min_side: int,
) -> Int[np.ndarray, " 4"]:
    """Return the region of interest around a box and the positive clicks.

    It is expanded as the region around a mask is, see `interaction.zoom.next_roi`.

    Args:
        corners: [4] left, top, right, bottom in pixels, inside the image.
        clicks: Clicks; positive ones may lie outside the box.
        session: Session with the image.
        min_side: Minimum height and width of a region in pixels.

    Returns:
        [4] top, bottom, left, right, inclusive.
    """
    left, top, right, bottom = np.rint(corners).astype(np.int32)
    slots = to_click_slots(clicks)
    box = boxes.cover(
        jnp.array([top, bottom, left, right]), slots.yx[0], slots.is_positive[0]
    )
    expanded = boxes.grow(box, factor=EXPANSION_RATIO, min_side=min_side)
    size = jnp.array([session.height, session.width])
    return np.asarray(boxes.clip(expanded, size), np.int32)


def center_of_box(corners: Float[np.ndarray, " 4"], session: ClickSession) -> Click:
    """Return a positive click on the center of a box.

    Args:
        corners: [4] left, top, right, bottom in pixels, inside the image.
        session: Session with the image.
    """
    left, top, right, bottom = corners
    return session.make_click((top + bottom) / 2, (left + right) / 2, True)
