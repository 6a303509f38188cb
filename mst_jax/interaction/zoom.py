"""Choose the region of interest (ROI) that the network sees next.

All functions take one example and have static shapes: an ROI is a box in pixels of the
image, and cropping it is a bilinear interpolation at computed positions.

Source: zoom-in of f-BRS, Sofiiuk et al., CVPR 2020, as in RITM and SimpleClick.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.geometry import boxes
from mst_jax.structs import EMPTY, Clicks

BOX_THRESHOLD = 0.5  # of the probability, for the box (the mask itself has 0.49)
EXPANSION_RATIO = 1.4  # side of the ROI divided by the side of the mask's box
MIN_ROI_OVERLAP = 0.5  # with the proposed ROI, for the current one to stay
GROWTH_RATIO = 0.5  # distance by which a side moves divided by the side of the ROI
MIN_CUT_LENGTH = 0.01  # of the mask along a side, relative to it, for the side to move


def next_roi(
    roi: Int[Array, " 4"],
    prob: Float[Array, "h w"],
    size: Int[Array, " 2"],
    clicks: Clicks,
    *,
    min_side: int,
) -> Int[Array, " 4"]:
    """Choose the region of interest of the next prediction.

    The first ROI is the whole image. After that the current ROI stays unless a positive
    click lies outside it or it overlaps little with the proposed ROI. The proposed ROI is
    the box of the mask and all positive clicks, expanded and clipped to the image; it is
    the whole image while the mask is empty.

    Args:
        roi: [4] current ROI: top, bottom, left, right, inclusive; -1 = none.
        prob: [h w] probability of the previous round, 0 on padding.
        size: [2] height and width of the image without padding.
        clicks: [k] clicks of one example in pixels of the image, including the newest.
        min_side: Minimum height and width of an ROI in pixels, before clipping.

    Returns:
        [4] the next ROI.
    """
    # 1. Propose the expanded box of the mask and the positive clicks.
    whole_image = boxes.whole(size)
    mask = prob > BOX_THRESHOLD
    object_box = boxes.cover(boxes.box_of(mask), clicks.yx, clicks.is_positive)
    expanded = boxes.grow(object_box, factor=EXPANSION_RATIO, min_side=min_side)
    proposal = jnp.where(mask.any(), boxes.clip(expanded, size), whole_image)
    # 2. Keep the current ROI while it fits: a stable crop gives stable predictions.
    misses_click = (clicks.is_positive & ~boxes.contains(roi, clicks.yx)).any()
    stays = ~misses_click & (boxes.overlap(roi, proposal) >= MIN_ROI_OVERLAP)
    return jnp.where(roi[0] < 0, whole_image, jnp.where(stays, roi, proposal))


def grow_roi(
    roi: Int[Array, " 4"], crop_prob: Float[Array, "i j"], size: Int[Array, " 2"]
) -> Int[Array, " 4"]:
    """Move the sides of an ROI that cut the predicted mask outward.

    A side cuts the mask if the mask lies on at least `MIN_CUT_LENGTH` of it and the image
    continues beyond it. It moves by half the length of the ROI, up to the image's border.

    Departure: the published zoom keeps the ROI, and a mask that is larger ends there in a
    straight line.

    Args:
        roi: [4] top, bottom, left, right, inclusive.
        crop_prob: [i j] predicted probability in the ROI; the first and last rows and
            columns are those of the ROI.
        size: [2] height and width of the image without padding.

    Returns:
        [4] the larger ROI; equal to `roi` if no side cuts the mask.
    """
    # 1. Mask along the four sides, in the order of the box.
    mask = crop_prob > MASK_THRESHOLD
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    is_cut = jnp.stack([side.mean() >= MIN_CUT_LENGTH for side in sides])
    # 2. Top and left move to smaller coordinates, bottom and right to larger ones.
    length = jnp.repeat(roi[1::2] - roi[0::2] + 1, 2)
    distance = jnp.ceil(GROWTH_RATIO * length).astype(roi.dtype)
    direction = jnp.array([-1, 1, -1, 1], roi.dtype)
    grown = boxes.clip(roi + direction * distance, size)
    return jnp.where(is_cut, grown, roi)


def clicks_to_roi(
    clicks: Clicks, roi: Int[Array, " 4"], *, side: int, drop_outside: bool = False
) -> Clicks:
    """Convert clicks of one example from the image to a square crop of an ROI.

    Args:
        clicks: [k] clicks in pixels of the image.
        roi: [4] region of interest: top, bottom, left, right, inclusive.
        side: Height and width of the crop in pixels.
        drop_outside: Empty the slots of clicks outside the ROI, as in the released MST;
            otherwise they stay and lie outside the crop.
    """
    first, last = roi[None, 0::2], roi[None, 1::2]
    crop_yx = side * (clicks.yx - first) / (last - first + 1)
    label = clicks.label
    if drop_outside:
        is_inside = ((crop_yx >= 0) & (crop_yx < side)).all(axis=-1)
        label = jnp.where(is_inside, label, EMPTY)
    return Clicks(yx=crop_yx.astype(clicks.yx.dtype), label=label)
