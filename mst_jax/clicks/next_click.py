"""The click that a person would make next: on the largest error of the current mask."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mst_jax.clicks.sample_pixels import draw_pixels
from mst_jax.geometry.distance import squared_distance
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks

THRESHOLD = 0.49  # a pixel belongs to the mask if its probability is above

MISSED, WRONG = 1, 2  # target and not predicted; predicted and not target


def evaluation_click(
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, " 2"], Int[Array, ""]]:
    """The click of the evaluation's user: deepest inside the largest error.

    Positive if the deepest missed pixel is deeper than the deepest wrong one, else,
    also when they are equally deep, negative. Among equally deep pixels the first in
    row order. Depth is the exact distance to the nearest pixel outside the error
    region; pixels under earlier clicks count as inside but cannot be chosen.

    Without any error left the click is negative at (0, 0), which is what the published
    rule comes to.

    Source: the "robot user" of RITM, Sofiiuk et al., ICIP 2022.

    Returns:
        [2] row and column, and the label, 1 or 0.
    """
    missed, wrong = error_depths(prob, target, valid, clicks)
    is_positive = missed.max() > wrong.max()
    depth = jnp.where(is_positive, missed, wrong)
    place = jnp.stack(jnp.unravel_index(jnp.argmax(depth), depth.shape))
    return place, jnp.where(is_positive, POSITIVE, NEGATIVE)


def training_click(
    key: PRNGKeyArray,
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, " 2"], Int[Array, ""]]:
    """The click of the training's user: drawn in the inner half of the largest error.

    The sign as in `evaluation_click`; the place drawn evenly among the pixels deeper
    than half the largest depth.

    Departure: published programs use OpenCV's approximate 5x5 distance and may choose a
    clicked pixel again; here distances are exact and clicked pixels are left out.

    Returns:
        [2] row and column, and the label: 1, 0, or -1 = no error left, no click.
    """
    missed, wrong = error_depths(prob, target, valid, clicks)
    is_positive = missed.max() > wrong.max()
    depth = jnp.where(is_positive, missed, wrong)
    inner = 4 * depth > depth.max()  # squares: d > max / 2
    places, found = draw_pixels(key, inner, num=1)
    label = jnp.where(is_positive, POSITIVE, NEGATIVE)
    return places[0], jnp.where(found, label, EMPTY)


def error_depths(
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
) -> tuple[Int[Array, "h w"], Int[Array, "h w"]]:
    """Squared depth of the missed and the wrong pixels; 0 elsewhere and if clicked."""
    predicted = prob > THRESHOLD
    missed = valid & target & ~predicted
    wrong = valid & predicted & ~target
    labels = jnp.where(missed, MISSED, jnp.where(wrong, WRONG, 0))
    depth = _forget_clicked(squared_distance(labels), clicks)
    return jnp.where(missed, depth, 0), jnp.where(wrong, depth, 0)


def _forget_clicked(depth: Int[Array, "h w"], clicks: Clicks) -> Int[Array, "h w"]:
    """Sets the pixel under each click to 0; clicks outside the picture do nothing."""
    pixel = jnp.round(clicks.yx)
    inside = clicks.kept & (pixel >= 0).all(-1)
    row = jnp.where(inside, pixel[:, 0], depth.shape[0]).astype(int)
    return depth.at[row, pixel[:, 1].astype(int)].set(0, mode="drop")
