"""Zooming in on the object: which part of the picture does the network see next?

All for one example, with static shapes: a region is a box in pixels of the picture, and
seeing it is a bilinear reading at computed places.

Source: zoom-in of f-BRS, Sofiiuk et al., CVPR 2020, as in RITM and SimpleClick.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mst_jax.geometry import boxes
from mst_jax.structs import EMPTY, Clicks

THRESHOLD = 0.5  # of the probability, for the box (the mask itself has 0.49)
GROW = 1.4  # the region's sides, counted in sides of the box
KEEP = 0.5  # least overlap with the wanted region at which the old one is kept


def next_region(
    region: Int[Array, " 4"],
    prob: Float[Array, "h w"],
    size: Int[Array, " 2"],
    clicks: Clicks,
    *,
    min_side: int,
) -> Int[Array, " 4"]:
    """Chooses the part of the picture that the network sees next.

    At first the whole picture. Then the region in use is kept, unless a positive click
    lies outside it or it overlaps little with the wanted region: the box of the mask
    and all positive clicks, grown and cut to the picture; the whole picture while the
    mask is empty.

    Args:
        region: [4] the region in use: top, bottom, left, right, inclusive; -1 = none.
        prob: [h w] probability of the last round, 0 where the picture is padded.
        size: [2] height and width of the picture, without padding.
        clicks: of one example, in pixels of the picture, the newest included.
        min_side: a region is at least so many pixels high and wide, before the cut.
    """
    whole = boxes.whole(size)
    mask = prob > THRESHOLD
    box = boxes.cover(boxes.box_of(mask), clicks.yx, clicks.is_positive)
    wanted = boxes.clip(boxes.grow(box, factor=GROW, min_side=min_side), size)
    wanted = jnp.where(mask.any(), wanted, whole)
    is_lost = (clicks.is_positive & ~boxes.holds(region, clicks.yx)).any()
    is_kept = ~is_lost & (boxes.overlap(region, wanted) >= KEEP)
    return jnp.where(region[0] < 0, whole, jnp.where(is_kept, region, wanted))


def move_clicks(
    clicks: Clicks, region: Int[Array, " 4"], *, side: int, drop_outside: bool = False
) -> Clicks:
    """Takes clicks of one example from the picture into a square crop of a region.

    Clicks outside the region stay clicks and land outside the crop; or they are dropped,
    as in the released MST.
    """
    first, last = region[None, 0::2], region[None, 1::2]
    scaled = side * (clicks.yx - first) / (last - first + 1)
    label = clicks.label
    if drop_outside:
        inside = ((scaled >= 0) & (scaled < side)).all(axis=-1)
        label = jnp.where(inside, label, EMPTY)
    return Clicks(yx=scaled.astype(clicks.yx.dtype), label=label)
