"""Simulate a user who is not exact: clicks scatter around the best pixel."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mst_jax.clicks.next_click import error_distances
from mst_jax.clicks.sample_pixels import sample_pixels
from mst_jax.structs import NEGATIVE, POSITIVE, Clicks

# Samples for one click; if none hits the error region, the best pixel is clicked.
NUM_SAMPLES = 64


def noisy_click(
    key: PRNGKeyArray,
    prob: Float[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
    clicks: Clicks,
    *,
    click_spread: Float[Array, ""] | float,
    random_first: bool,
) -> tuple[Int[Array, " 2"], Int[Array, ""]]:
    """Sample a click around the best pixel of the evaluation's user.

    The label is that of `next_click.evaluation_click`. The pixel is drawn from a normal
    distribution around the best pixel, restricted to the pixels of the same kind of error
    that were not clicked yet: people see on which side of an edge they click. Padding an
    image does not change the samples.

    Args:
        key: Random key.
        prob: [h w] probability of the current mask.
        target: [h w] True on the target object.
        valid: [h w] True on pixels that count.
        clicks: [k] clicks so far.
        click_spread: Standard deviation, relative to the distance from the best pixel to
            the edge of the error region; 0 = always the best pixel.
        random_first: Draw the first click uniformly from the whole object.

    Returns:
        [2] row and column, and the label, 1 or 0.
    """
    # 1. The best pixel, as the exact user clicks it.
    missed, excess = error_distances(prob, target, valid, clicks)
    is_positive = missed.max() > excess.max()
    distance = jnp.where(is_positive, missed, excess)
    best_yx = jnp.stack(jnp.unravel_index(jnp.argmax(distance), distance.shape))
    # 2. The first sample around it that hits the error.
    sigma = click_spread * jnp.sqrt(distance.max().astype(jnp.float32))
    noise_key, anywhere_key = jax.random.split(key)
    offsets = jax.random.normal(noise_key, (NUM_SAMPLES, 2))
    click_yx = _first_allowed(distance > 0, best_yx, sigma * offsets)
    # 3. The first click of a session may lie anywhere on the object.
    if random_first:
        anywhere_yx, found = sample_pixels(anywhere_key, missed > 0, num=1)
        is_first = found & (clicks.num_clicks == 0)
        click_yx = jnp.where(is_first, anywhere_yx[0], click_yx)
    return click_yx, jnp.where(is_positive, POSITIVE, NEGATIVE)


def _first_allowed(
    allowed: Bool[Array, "h w"],
    center_yx: Int[Array, " 2"],
    offsets: Float[Array, "n 2"],
) -> Int[Array, " 2"]:
    """Return the first center + offset on an allowed pixel; the center without one."""
    candidate_yx = center_yx[None] + jnp.round(offsets).astype(center_yx.dtype)
    # Negative indices would wrap around; those beyond the image read as False.
    is_inside = (candidate_yx >= 0).all(axis=1)
    row, column = jnp.maximum(candidate_yx, 0).T
    is_allowed = is_inside & allowed.at[row, column].get(mode="fill", fill_value=False)
    first_yx = candidate_yx[jnp.argmax(is_allowed)]
    return jnp.where(is_allowed.any(), first_yx, center_yx)
