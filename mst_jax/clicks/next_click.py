"""Simulate the next click of a user: it lies on the largest error of the mask."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mst_jax.clicks.sample_pixels import sample_pixels
from mst_jax.geometry.distance import squared_distance
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks

MASK_THRESHOLD = 0.49
"""A pixel belongs to the mask if its probability is above this value."""

# Labels of the error regions: in the target but not in the mask, and the reverse.
FALSE_NEGATIVE, FALSE_POSITIVE = 1, 2


def evaluation_click(
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, " 2"], Int[Array, ""]]:
    """Compute the click of the evaluation's user: the center of the largest error.

    The error distance of a pixel is its exact distance to the nearest pixel outside its
    error region. The click is positive if the largest distance of the false negatives
    exceeds that of the false positives, else (also if they are equal) negative. Among
    equally distant pixels the first in row order is taken. Pixels under earlier clicks
    count as part of the region but cannot be clicked again.

    Without any error the click is negative at (0, 0), which is what the published rule
    amounts to.

    Source: the "robot user" of RITM, Sofiiuk et al., ICIP 2022.

    Args:
        prob: [h w] probability of the current mask.
        target: [h w] True on the target object.
        valid: [h w] True on pixels that count.
        clicks: [k] clicks so far.

    Returns:
        [2] row and column, and the label, 1 or 0.
    """
    distance, is_positive = _largest_error(prob, target, valid, clicks)
    click_yx = jnp.stack(jnp.unravel_index(jnp.argmax(distance), distance.shape))
    return click_yx, jnp.where(is_positive, POSITIVE, NEGATIVE)


def training_click(
    key: PRNGKeyArray,
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, " 2"], Int[Array, ""]]:
    """Sample the click of the training's user from the inner half of the largest error.

    The label is that of `evaluation_click`. The pixel is drawn uniformly among those
    whose error distance exceeds half of the largest one.

    Departure: published programs use OpenCV's approximate 5x5 distance and may choose a
    clicked pixel again; here distances are exact and clicked pixels are left out.

    Args:
        key: Random key.
        prob: [h w] probability of the current mask.
        target: [h w] True on the target object.
        valid: [h w] True on pixels that count.
        clicks: [k] clicks so far.

    Returns:
        [2] row and column, and the label: 1, 0, or -1 = no error left, no click.
    """
    distance, is_positive = _largest_error(prob, target, valid, clicks)
    # Distances are squared: d > max / 2 means 4 d^2 > max^2.
    inner_half = 4 * distance > distance.max()
    click_yx, found = sample_pixels(key, inner_half, num=1)
    label = jnp.where(is_positive, POSITIVE, NEGATIVE)
    return click_yx[0], jnp.where(found, label, EMPTY)


def error_distances(
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, "h w"], Int[Array, "h w"]]:
    """Compute the squared distance of each wrong pixel to the edge of its error region.

    Args:
        prob: [h w] probability of the current mask.
        target: [h w] True on the target object.
        valid: [h w] True on pixels that count.
        clicks: [k] clicks so far.

    Returns:
        [h w] of the false negatives and [h w] of the false positives, in pixels squared;
        0 on all other pixels and on clicked ones.
    """
    predicted = prob > MASK_THRESHOLD
    false_negative = valid & target & ~predicted
    false_positive = valid & predicted & ~target
    # Both kinds of regions in one label map need one distance transform instead of two.
    labels = jnp.where(
        false_negative, FALSE_NEGATIVE, jnp.where(false_positive, FALSE_POSITIVE, 0)
    )
    distance = _clear_clicked(squared_distance(labels), clicks)
    return (
        jnp.where(false_negative, distance, 0),
        jnp.where(false_positive, distance, 0),
    )


def _largest_error(
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, "h w"], Bool[Array, ""]]:
    """Return the error distances of the larger kind of error, and is it a positive click?

    A tie goes to the false positives.
    """
    missed, excess = error_distances(prob, target, valid, clicks)
    is_positive = missed.max() > excess.max()
    return jnp.where(is_positive, missed, excess), is_positive


def _clear_clicked(distance: Int[Array, "h w"], clicks: Clicks) -> Int[Array, "h w"]:
    """Set the pixel under each click to 0; clicks outside the image change nothing."""
    pixel_yx = jnp.round(clicks.yx)
    is_inside = clicks.is_filled & (pixel_yx >= 0).all(-1)
    # A row below the image is dropped by the scatter.
    row = jnp.where(is_inside, pixel_yx[:, 0], distance.shape[0]).astype(int)
    return distance.at[row, pixel_yx[:, 1].astype(int)].set(0, mode="drop")
