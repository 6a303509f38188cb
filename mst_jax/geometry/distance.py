"""How far is each pixel from the edge of its region? Exact, in whole numbers.

Nothing here has a shape that depends on a value, and all shifts are constants, so that
the functions may be jitted and vmapped without becoming gathers.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def squared_distance(labels: Int[Array, "h w"]) -> Int[Array, "h w"]:
    """Squared Euclidean distance of each pixel to the nearest pixel with another label.

    The outside of the picture counts as another label. One label map holds several
    regions at once, and one transform serves them all.

    Method: the distance along the row is a matter of runs. Then one erosion along the
    columns with the parts of a parabola: k^2 = 1 + 3 + ... + (2k - 1), so step k takes
    the minimum of a pixel and its two neighbours plus 2k - 1. An offset of k rows costs
    k^2, so the steps end when k^2 reaches the largest distance left.
    Source: two passes along the axes as in Meijster et al., A general algorithm for
    computing distance transforms in linear time, 2000; the second pass differs.

    Args:
        labels: [h w] 0 = of no interest; each number above 0 is a region.

    Returns:
        [h w] int32, in pixels squared; 0 where the label is 0, at least 1 elsewhere.
    """
    wanted = labels > 0
    same_above = _shifted(labels, 1, fill=-1) == labels
    same_below = _shifted(labels, -1, fill=-1) == labels

    def unfinished(carry: tuple) -> Bool[Array, ""]:
        step, squared = carry
        return step * step < squared.max()

    def erode(carry: tuple) -> tuple:
        step, squared = carry
        above = jnp.where(same_above, _shifted(squared, 1, fill=0), 0)
        below = jnp.where(same_below, _shifted(squared, -1, fill=0), 0)
        reached = jnp.minimum(above, below) + 2 * step - 1
        return step + 1, jnp.minimum(squared, reached)

    along_row = jnp.where(wanted, jnp.square(_steps_along_row(labels)), 0)
    _, squared = jax.lax.while_loop(unfinished, erode, (jnp.int32(1), along_row))
    return squared


def dilate(
    region: Bool[Array, "h w"], radius: Int[Array, ""] | int
) -> Bool[Array, "h w"]:
    """Grows a region by a square of 2 radius + 1 pixels; the radius may be traced.

    The same as `radius` dilations with 3x3 pixels. What is outside the picture belongs
    to no region, so `~dilate(~region, r)` erodes without eating at its border.
    """
    return _dilate_rows(_dilate_rows(region, radius).T, radius).T


def _dilate_rows(
    region: Bool[Array, "h w"], radius: Int[Array, ""] | int
) -> Bool[Array, "h w"]:
    """True where a True pixel of the same row is at most `radius` away."""
    far = sum(region.shape) + jnp.asarray(radius)
    column = jax.lax.broadcasted_iota(jnp.int32, region.shape, 1)
    before = jax.lax.cummax(jnp.where(region, column, -far), axis=1)
    after = jax.lax.cummin(jnp.where(region, column, 2 * far), axis=1, reverse=True)
    return jnp.minimum(column - before, after - column) <= radius


def _steps_along_row(labels: Int[Array, "h w"]) -> Int[Array, "h w"]:
    """Pixels to go, left or right, until the label changes or the picture ends."""
    width = labels.shape[1]
    column = jax.lax.broadcasted_iota(jnp.int32, labels.shape, 1)
    opens = (column == 0) | (jnp.roll(labels, 1, axis=1) != labels)
    closes = (column == width - 1) | (jnp.roll(labels, -1, axis=1) != labels)
    first = jax.lax.cummax(jnp.where(opens, column, 0), axis=1)
    last = jax.lax.cummin(jnp.where(closes, column, width - 1), axis=1, reverse=True)
    return jnp.minimum(column - first, last - column) + 1


def _shifted(x: Int[Array, "h w"], rows: int, *, fill: int) -> Int[Array, "h w"]:
    """Moves a map one row down (1) or up (-1); the row that opens is filled."""
    edge = jnp.full_like(x[:1], fill)
    parts = (edge, x[:-1]) if rows > 0 else (x[1:], edge)
    return jnp.concatenate(parts, axis=0)
