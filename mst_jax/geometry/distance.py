"""Exact distances of pixels to the edge of their region, in whole numbers.

No shape depends on a value and all shifts are constants, so that the functions can be
jitted and vmapped without becoming gathers.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def squared_distance(labels: Int[Array, "h w"]) -> Int[Array, "h w"]:
    """Compute the squared Euclidean distance to the nearest pixel with another label.

    The outside of the image counts as another label. One label map holds several regions,
    and one transform serves them all.

    Method: the distance along the row follows from runs of equal labels. Then erosions
    along the columns with the increments of a parabola: k^2 = 1 + 3 + ... + (2k - 1), so
    step k takes the minimum of a pixel and its two neighbors plus 2k - 1. An offset of k
    rows costs k^2, so the steps end when k^2 reaches the largest distance left.
    Source: two passes along the axes as in Meijster et al., A general algorithm for
    computing distance transforms in linear time, 2000; the second pass differs.

    Args:
        labels: [h w] 0 = background; each number above 0 is a region.

    Returns:
        [h w] int32, in pixels squared; 0 where the label is 0, at least 1 elsewhere.
    """
    is_region = labels > 0
    same_above = _shift_rows(labels, 1, fill=-1) == labels
    same_below = _shift_rows(labels, -1, fill=-1) == labels

    def is_unfinished(carry: tuple) -> Bool[Array, ""]:
        step, squared = carry
        return step * step < squared.max()

    def erode(carry: tuple) -> tuple:
        step, squared = carry
        above = jnp.where(same_above, _shift_rows(squared, 1, fill=0), 0)
        below = jnp.where(same_below, _shift_rows(squared, -1, fill=0), 0)
        through_neighbor = jnp.minimum(above, below) + 2 * step - 1
        return step + 1, jnp.minimum(squared, through_neighbor)

    # 1. Distance along the row. 2. Erosions along the columns until nothing can change.
    row_distance = jnp.where(is_region, jnp.square(_distance_along_row(labels)), 0)
    start = (jnp.int32(1), row_distance)
    _, squared = jax.lax.while_loop(is_unfinished, erode, start)
    return squared


def dilate(
    region: Bool[Array, "h w"], radius: Int[Array, ""] | int
) -> Bool[Array, "h w"]:
    """Dilate a region by a square of 2 radius + 1 pixels.

    The result is that of `radius` dilations with 3x3 pixels. The outside of the image
    belongs to no region, so `~dilate(~region, r)` erodes without removing pixels at the
    image border.

    Args:
        region: [h w] True on the region.
        radius: Pixels to grow in each direction; may be traced.
    """
    return _dilate_rows(_dilate_rows(region, radius).T, radius).T


def _dilate_rows(
    region: Bool[Array, "h w"], radius: Int[Array, ""] | int
) -> Bool[Array, "h w"]:
    """Return True where a True pixel of the same row is at most `radius` away."""
    # A column so far away that no radius reaches it stands for "no True pixel".
    unreachable = sum(region.shape) + jnp.asarray(radius)
    column = jax.lax.broadcasted_iota(jnp.int32, region.shape, 1)
    left = jax.lax.cummax(jnp.where(region, column, -unreachable), axis=1)
    right = jax.lax.cummin(
        jnp.where(region, column, 2 * unreachable), axis=1, reverse=True
    )
    return jnp.minimum(column - left, right - column) <= radius


def _distance_along_row(labels: Int[Array, "h w"]) -> Int[Array, "h w"]:
    """Count the pixels to the left or right until the label changes or the image ends."""
    width = labels.shape[1]
    column = jax.lax.broadcasted_iota(jnp.int32, labels.shape, 1)
    run_starts = (column == 0) | (jnp.roll(labels, 1, axis=1) != labels)
    run_ends = (column == width - 1) | (jnp.roll(labels, -1, axis=1) != labels)
    first = jax.lax.cummax(jnp.where(run_starts, column, 0), axis=1)
    last = jax.lax.cummin(jnp.where(run_ends, column, width - 1), axis=1, reverse=True)
    return jnp.minimum(column - first, last - column) + 1


def _shift_rows(
    array: Int[Array, "h w"], shift: int, *, fill: int
) -> Int[Array, "h w"]:
    """Shift a map one row down (1) or up (-1) and fill the row that becomes free."""
    fill_row = jnp.full_like(array[:1], fill)
    rows = (fill_row, array[:-1]) if shift > 0 else (array[1:], fill_row)
    return jnp.concatenate(rows, axis=0)
