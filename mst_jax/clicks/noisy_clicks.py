"""Clicks of people who are not exact: near the best place, or first anywhere."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mst_jax.clicks.next_click import error_depths
from mst_jax.clicks.sample_pixels import draw_pixels
from mst_jax.structs import NEGATIVE, POSITIVE, Clicks

TRIES = 64  # draws for one click; if all miss the error, the best place is clicked


def careless_click(
    key: PRNGKeyArray,
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
    *,
    spread: Float[Array, ""] | float,
    first_anywhere: bool,
) -> tuple[Int[Array, " 2"], Int[Array, ""]]:
    """A click of the evaluation's user whose hand is not steady.

    The sign is that of `evaluation_click`. The place is drawn from a normal distribution
    about the best place, cut to the pixels of that kind of error that were not clicked:
    people see which side of an edge they click on. Padding a picture does not change
    what is drawn.

    Args:
        key: random key.
        prob: [h w] probability of the last round.
        target: [h w] the wanted object.
        valid: [h w] pixels that count.
        clicks: so far.
        spread: standard deviation, as a share of the distance from the best place to the
            edge of the error; 0: always the best place.
        first_anywhere: the first click falls evenly anywhere on the object.

    Returns:
        [2] row and column, and the label, 1 or 0.
    """
    missed, wrong = error_depths(prob, target, valid, clicks)
    is_positive = missed.max() > wrong.max()
    depth = jnp.where(is_positive, missed, wrong)
    best = jnp.stack(jnp.unravel_index(jnp.argmax(depth), depth.shape))
    sigma = spread * jnp.sqrt(depth.max().astype(jnp.float32))
    near_key, anywhere_key = jax.random.split(key)
    steps = jax.random.normal(near_key, (TRIES, 2))
    place = _first_inside(depth > 0, best, sigma * steps)
    if first_anywhere:
        anywhere, found = draw_pixels(anywhere_key, missed > 0, num=1)
        is_first = found & (clicks.num_clicks == 0)
        place = jnp.where(is_first, anywhere[0], place)
    return place, jnp.where(is_positive, POSITIVE, NEGATIVE)


def _first_inside(
    allowed: Bool[Array, "h w"], place: Int[Array, " 2"], steps: Float[Array, "n 2"]
) -> Int[Array, " 2"]:
    """The first of the steps from a place that ends on a True pixel; else the place."""
    ends = place[None] + jnp.round(steps).astype(place.dtype)
    inside = (ends >= 0).all(axis=1)
    row, column = jnp.maximum(ends, 0).T
    good = inside & allowed.at[row, column].get(mode="fill", fill_value=False)
    return jnp.where(good.any(), ends[jnp.argmax(good)], place)
