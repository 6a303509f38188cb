"""Axis-aligned boxes: (top, bottom, left, right) in pixels, ends inclusive.

An empty box has its ends in the wrong order.
"""

from fractions import Fraction

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.geometry.interpolation import interpolate_columns, interpolate_rows


def box_of(mask: Bool[Array, "h w"]) -> Int[Array, " 4"]:
    """Return the smallest box around the True pixels; (h, -1, w, -1) without any."""
    # First and last occupied row, then column; a mask without pixels gives an empty box.
    edges = []
    for occupied in (mask.any(axis=1), mask.any(axis=0)):
        index = jnp.arange(occupied.shape[0])
        edges.append(jnp.where(occupied, index, occupied.shape[0]).min())
        edges.append(jnp.where(occupied, index, -1).max())
    return jnp.stack(edges)


def whole(size: Int[Array, " 2"]) -> Int[Array, " 4"]:
    """Return the box of a whole image.

    Args:
        size: [2] height and width of the image in pixels.
    """
    zero = jnp.zeros_like(size[0])
    return jnp.stack([zero, size[0] - 1, zero, size[1] - 1])


def cover(
    box: Int[Array, " 4"], yx: Float[Array, "k 2"], selected: Bool[Array, " k"]
) -> Int[Array, " 4"]:
    """Enlarge a box so that it contains the pixels of the selected points.

    Args:
        box: [4] top, bottom, left, right, inclusive.
        yx: [k 2] row and column of the points in pixels.
        selected: [k] True for the points that count.
    """
    pixel_yx = jnp.floor(yx).astype(box.dtype)
    limits = jnp.iinfo(box.dtype)
    min_yx = jnp.where(selected[:, None], pixel_yx, limits.max).min(axis=0)
    max_yx = jnp.where(selected[:, None], pixel_yx, limits.min).max(axis=0)
    return jnp.stack(
        [
            jnp.minimum(box[0], min_yx[0]),
            jnp.maximum(box[1], max_yx[0]),
            jnp.minimum(box[2], min_yx[1]),
            jnp.maximum(box[3], max_yx[1]),
        ]
    )


def grow(box: Int[Array, " 4"], *, factor: float, min_side: int) -> Int[Array, " 4"]:
    """Scale a box around its center by a factor, to at least a minimum side.

    With inclusive ends a and b, an end is round((a + b) / 2 -+ length / 2), halves to
    even. The arithmetic uses whole numbers, so that a half is exactly a half; a published
    program that computes 1.4 * length in float64 may round a half to the other side, one
    pixel away.

    Args:
        box: [4] top, bottom, left, right, inclusive.
        factor: Ratio of the new sides to the old ones.
        min_side: Minimum height and width of the result in pixels.
    """
    # 1. The factor as a fraction, and twice the center: no halves are left.
    ratio = Fraction(factor).limit_denominator(1000)
    numerator, denominator = ratio.numerator, ratio.denominator
    low, high = box[0::2], box[1::2]
    length = jnp.maximum(numerator * (high - low + 1), denominator * min_side)
    double_center = denominator * (low + high)
    # 2. Both ends, rounded once.
    low = _divide_half_even(double_center - length, 2 * denominator)
    high = _divide_half_even(double_center + length, 2 * denominator)
    return jnp.stack([low, high], axis=1).reshape(4)


def clip(box: Int[Array, " 4"], size: Int[Array, " 2"]) -> Int[Array, " 4"]:
    """Clip each end of a box to an image.

    Args:
        box: [4] top, bottom, left, right, inclusive.
        size: [2] height and width of the image in pixels.
    """
    return jnp.clip(box, 0, jnp.repeat(size - 1, 2))


def overlap(first: Int[Array, " 4"], second: Int[Array, " 4"]) -> Float[Array, ""]:
    """Compute the overlap of two boxes, 0 to 1.

    It is intersection over hull of the rows times the same of the columns.
    """
    shared, hull = 1, 1
    for low in (0, 2):
        start = (first[low], second[low])
        stop = (first[low + 1], second[low + 1])
        shared *= jnp.maximum(jnp.minimum(*stop) - jnp.maximum(*start) + 1, 0)
        hull *= jnp.maximum(jnp.maximum(*stop) - jnp.minimum(*start) + 1, 1)
    return shared.astype(jnp.float32) / hull.astype(jnp.float32)


def contains(box: Int[Array, " 4"], yx: Float[Array, "k 2"]) -> Bool[Array, " k"]:
    """Return True where a point lies in the box.

    The last row and column count as outside, as in the published zoom.

    Args:
        box: [4] top, bottom, left, right, inclusive.
        yx: [k 2] row and column of the points in pixels.
    """
    row, column = yx[:, 0], yx[:, 1]
    in_rows = (row >= box[0]) & (row < box[1])
    return in_rows & (column >= box[2]) & (column < box[3])


def crop(
    image: Float[Array, "h w c"], box: Int[Array, " 4"], *, side: int
) -> Float[Array, "{side} {side} c"]:
    """Resize a box of an image to a square: bilinear, corners aligned.

    Args:
        image: [h w c] image or map.
        box: [4] top, bottom, left, right, inclusive.
        side: Height and width of the result in pixels.
    """
    # The corner pixels of the square are the corners of the box.
    row, row_fraction = _even_positions(side - 1, box[1] - box[0], num=side)
    column, column_fraction = _even_positions(side - 1, box[3] - box[2], num=side)
    rows = interpolate_rows(image, box[0] + row, row_fraction)
    return interpolate_columns(rows, box[2] + column, column_fraction)


def paste(
    patch: Float[Array, "i j"], box: Int[Array, " 4"], height: int, width: int
) -> Float[Array, "{height} {width}"]:
    """Resize a map into a box of an image of zeros: bilinear, corners aligned.

    Args:
        patch: [i j] map to paste.
        box: [4] top, bottom, left, right, inclusive.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
    """
    row_position = _even_positions(
        box[1] - box[0], patch.shape[0] - 1, num=height, first=box[0]
    )
    column_position = _even_positions(
        box[3] - box[2], patch.shape[1] - 1, num=width, first=box[2]
    )
    resized = interpolate_columns(
        interpolate_rows(patch, *row_position), *column_position
    )
    # The interpolation repeats the border outside the box: set it to zero.
    row, column = jnp.arange(height)[:, None], jnp.arange(width)[None]
    inside = (row >= box[0]) & (row <= box[1])
    inside = inside & (column >= box[2]) & (column <= box[3])
    return jnp.where(inside, resized, 0.0)


def _even_positions(
    num_steps: Int[Array, ""] | int,
    length: Int[Array, ""] | int,
    *,
    num: int,
    first: Int[Array, ""] | int = 0,
) -> tuple[Int[Array, " i"], Float[Array, " i"]]:
    """Compute positions from 0 to `length` in equal steps.

    Args:
        num_steps: Number of steps from 0 to `length`.
        length: Last position.
        num: Number of positions i of the result.
        first: Index of the result that is at position 0.

    Returns:
        [i] whole part and [i] fraction of each position.
    """
    # One step at least, so that a single position does not divide by zero.
    step = jnp.asarray(length, jnp.float32) / jnp.maximum(num_steps, 1)
    position = (jnp.arange(num) - first) * step
    pixel = jnp.floor(position)
    return pixel.astype(int), position - pixel


def _divide_half_even(dividend: Int[Array, "*n"], divisor: int) -> Int[Array, "*n"]:
    """Divide whole numbers and round to the nearest, halves to even."""
    quotient, remainder = dividend // divisor, dividend % divisor
    is_odd_half = (2 * remainder == divisor) & (quotient % 2 == 1)
    return quotient + ((2 * remainder > divisor) | is_odd_half)
