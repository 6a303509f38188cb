"""Boxes along the axes: (top, bottom, left, right) in pixels, ends inclusive.

A box without pixels has its ends in the wrong order.
"""

from fractions import Fraction

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.geometry.interpolation import read_columns, read_rows


def box_of(mask: Bool[Array, "h w"]) -> Int[Array, " 4"]:
    """The smallest box around the True pixels; without one (h, -1, w, -1)."""
    ends = []
    for line in (mask.any(axis=1), mask.any(axis=0)):
        place = jnp.arange(line.shape[0])
        ends.append(jnp.where(line, place, line.shape[0]).min())
        ends.append(jnp.where(line, place, -1).max())
    return jnp.stack(ends)


def whole(size: Int[Array, " 2"]) -> Int[Array, " 4"]:
    """The box of a picture of `size` (height, width)."""
    zero = jnp.zeros_like(size[0])
    return jnp.stack([zero, size[0] - 1, zero, size[1] - 1])


def cover(
    box: Int[Array, " 4"], yx: Float[Array, "k 2"], chosen: Bool[Array, " k"]
) -> Int[Array, " 4"]:
    """Stretches a box to hold the pixels of the chosen points."""
    pixel = jnp.floor(yx).astype(box.dtype)
    least = jnp.where(chosen[:, None], pixel, jnp.iinfo(box.dtype).max).min(axis=0)
    most = jnp.where(chosen[:, None], pixel, jnp.iinfo(box.dtype).min).max(axis=0)
    return jnp.stack(
        [
            jnp.minimum(box[0], least[0]),
            jnp.maximum(box[1], most[0]),
            jnp.minimum(box[2], least[1]),
            jnp.maximum(box[3], most[1]),
        ]
    )


def grow(box: Int[Array, " 4"], *, factor: float, min_side: int) -> Int[Array, " 4"]:
    """Stretches a box about its centre to `factor` times its sides, at least `min_side`.

    With inclusive ends a, b an end is round((a + b) / 2 -+ length / 2), halves to even.
    All in whole numbers, so that a half is a half; where a published program finds a
    half by 1.4 * length in float64 it may round to the other side, one pixel away.
    """
    ratio = Fraction(factor).limit_denominator(1000)
    num, den = ratio.numerator, ratio.denominator
    low, high = box[0::2], box[1::2]
    length = jnp.maximum(num * (high - low + 1), den * min_side)
    twice_centre = den * (low + high)
    low = _divide_half_even(twice_centre - length, 2 * den)
    high = _divide_half_even(twice_centre + length, 2 * den)
    return jnp.stack([low, high], axis=1).reshape(4)


def clip(box: Int[Array, " 4"], size: Int[Array, " 2"]) -> Int[Array, " 4"]:
    """Moves each end by itself into a picture of `size` (height, width)."""
    last = jnp.repeat(size - 1, 2)
    return jnp.clip(box, 0, last)


def overlap(one: Int[Array, " 4"], other: Int[Array, " 4"]) -> Float[Array, ""]:
    """Intersection over hull of the rows times the same of the columns, 0 to 1."""
    shared, hull = 1, 1
    for low in (0, 2):
        first, last = (one[low], other[low]), (one[low + 1], other[low + 1])
        shared *= jnp.maximum(jnp.minimum(*last) - jnp.maximum(*first) + 1, 0)
        hull *= jnp.maximum(jnp.maximum(*last) - jnp.minimum(*first) + 1, 1)
    return shared.astype(jnp.float32) / hull.astype(jnp.float32)


def holds(box: Int[Array, " 4"], yx: Float[Array, "k 2"]) -> Bool[Array, " k"]:
    """True where a point lies in the box.

    The last row and column count as outside, which is what the published zoom does.
    """
    row, column = yx[:, 0], yx[:, 1]
    in_rows = (row >= box[0]) & (row < box[1])
    return in_rows & (column >= box[2]) & (column < box[3])


def crop(
    x: Float[Array, "h w c"], box: Int[Array, " 4"], *, side: int
) -> Float[Array, "{side} {side} c"]:
    """Resizes a box of a map bilinearly, corners aligned, to a square."""
    row = _places(side - 1, box[1] - box[0], num=side)
    column = _places(side - 1, box[3] - box[2], num=side)
    rows = read_rows(x, box[0] + row[0], row[1])
    return read_columns(rows, box[2] + column[0], column[1])


def paste(
    patch: Float[Array, "i j"], box: Int[Array, " 4"], height: int, width: int
) -> Float[Array, "{height} {width}"]:
    """Resizes a map bilinearly, corners aligned, into a box of a picture of zeros."""
    row = _places(box[1] - box[0], patch.shape[0] - 1, num=height, first=box[0])
    column = _places(box[3] - box[2], patch.shape[1] - 1, num=width, first=box[2])
    resized = read_columns(read_rows(patch, *row), *column)
    row, column = jnp.arange(height)[:, None], jnp.arange(width)[None]
    inside = (row >= box[0]) & (row <= box[1])
    inside = inside & (column >= box[2]) & (column <= box[3])
    return jnp.where(inside, resized, 0.0)


def _places(
    steps: Int[Array, ""] | int,
    length: Int[Array, ""] | int,
    *,
    num: int,
    first: Int[Array, ""] | int = 0,
) -> tuple[Int[Array, " i"], Float[Array, " i"]]:
    """Goes from 0 to `length` in `steps` equal steps, beginning at number `first`.

    Returns:
        [num] whole part and fraction of each place.
    """
    pace = jnp.asarray(length, jnp.float32) / jnp.maximum(steps, 1)
    place = (jnp.arange(num) - first) * pace
    pixel = jnp.floor(place)
    return pixel.astype(int), place - pixel


def _divide_half_even(x: Int[Array, "*n"], by: int) -> Int[Array, "*n"]:
    """Divides whole numbers and rounds to the nearest, halves to even."""
    below, rest = x // by, x % by
    up = (2 * rest > by) | ((2 * rest == by) & (below % 2 == 1))
    return below + up
