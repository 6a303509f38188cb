"""Clicks become maps and token numbers that a network can read."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mst_jax.structs import POSITIVE, Clicks


def disk_maps(
    clicks: Clicks, height: int, width: int, *, radius: float = 5.0
) -> Float[Array, "h w 2"]:
    """Draws a filled disk around every click of one example.

    A pixel is 1 where its squared distance to the nearest click of the kind is at most
    radius^2. Each click writes the few pixels around it and nothing else; asking every
    pixel about every click gives the same maps 100 times slower (448x448, 21 clicks,
    2 cores: 0.1 ms against 17 ms).

    Args:
        clicks: `yx` [k 2] pixels, fractions are legal; a click outside the picture
            draws what of its disk lies inside. Empty slots draw nothing.
        height: rows of the maps.
        width: columns of the maps.
        radius: of a disk, in pixels.

    Returns:
        [h w 2] 1 on disks and 0 elsewhere; first the positive clicks, then the others.
    """
    reach = math.ceil(radius)
    steps = np.arange(-reach, reach + 1)  # from the floor: one more is beyond radius
    offset = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(1, -1, 2)
    pixel_yx = jnp.floor(clicks.yx)[:, None] + offset
    squared = jnp.square(pixel_yx - clicks.yx[:, None]).sum(-1)
    drawn = clicks.kept[:, None] & (squared <= radius**2) & (pixel_yx >= 0).all(-1)
    row = jnp.where(drawn, pixel_yx[..., 0], height).astype(int)
    column = pixel_yx[..., 1].astype(int)
    kind = jnp.where(clicks.label == POSITIVE, 0, 1)[:, None]
    maps = jnp.zeros((height, width, 2))
    return maps.at[row, column, kind].set(1.0, mode="drop")


def clicked_cells(
    clicks: Clicks, height: int, width: int, *, patch: int
) -> tuple[Int[Array, " k"], Bool[Array, " k"]]:
    """Finds the token under each positive click of one example.

    Args:
        clicks: `yx` [k 2] pixels; a fraction belongs to the pixel above and to the left.
        height: rows of the grid of tokens.
        width: columns of the grid.
        patch: side of a token in pixels.

    Returns:
        [k] numbers of tokens, row by row, repeated as they are clicked, and [k] True
        where the slot holds a positive click inside the picture; elsewhere the number
        is 0 and means nothing.
    """
    cell = jnp.floor(clicks.yx / patch)
    size = jnp.asarray((height, width))
    inside = ((cell >= 0) & (cell < size[None])).all(-1) & clicks.is_positive
    cell = jnp.where(inside[:, None], cell, 0.0).astype(int)
    return cell[:, 0] * width + cell[:, 1], inside
