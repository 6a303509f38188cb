"""Encode clicks as disk maps for the network and as indices of the clicked patches."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mst_jax.structs import POSITIVE, Clicks


def click_disk_maps(
    clicks: Clicks, height: int, width: int, *, radius: float = 5.0
) -> Float[Array, "h w 2"]:
    """Draw a filled disk around every click of one example.

    A pixel is 1 where its squared distance to the nearest click of the map's label is at
    most radius^2. Each click writes only the few pixels around it. Computing the distance
    of every pixel to every click gives the same maps 100 times slower (448x448, 21
    clicks, 2 cores: 0.1 ms against 17 ms).

    Args:
        clicks: [k] clicks in pixels; fractions are legal. A click outside the image
            draws the part of its disk that lies inside; empty slots draw nothing.
        height: Height of the maps in pixels.
        width: Width of the maps in pixels.
        radius: Radius of a disk in pixels.

    Returns:
        [h w 2] 1 on disks, 0 elsewhere; channel 0 holds the positive clicks, channel 1
        the negative ones.
    """
    # 1. All pixels of the square around each click, counted from the floor of its
    # coordinates: one pixel more on the upper side would be beyond the radius.
    reach = math.ceil(radius)
    steps = np.arange(-reach, reach + 1)
    offset_yx = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(1, -1, 2)
    pixel_yx = jnp.floor(clicks.yx)[:, None] + offset_yx
    # 2. Keep the pixels within the radius.
    squared_distance = jnp.square(pixel_yx - clicks.yx[:, None]).sum(-1)
    in_disk = squared_distance <= radius**2
    is_drawn = clicks.is_filled[:, None] & in_disk & (pixel_yx >= 0).all(-1)
    # 3. Scatter ones; the other pixels get a row outside the map and are dropped.
    row = jnp.where(is_drawn, pixel_yx[..., 0], height).astype(int)
    column = pixel_yx[..., 1].astype(int)
    channel = jnp.where(clicks.label == POSITIVE, 0, 1)[:, None]
    disk_maps = jnp.zeros((height, width, 2))
    return disk_maps.at[row, column, channel].set(1.0, mode="drop")


def clicked_patches(
    clicks: Clicks, height: int, width: int, *, patch_size: int
) -> tuple[Int[Array, " k"], Bool[Array, " k"]]:
    """Find the patch token under each positive click of one example.

    Args:
        clicks: [k] clicks in pixels; fractions are rounded down to a pixel.
        height: Number of rows of the token grid.
        width: Number of columns of the token grid.
        patch_size: Side of a patch in pixels.

    Returns:
        [k] indices of the tokens, row by row (an index repeats if its patch is clicked
        twice), and [k] True where the slot holds a positive click inside the image.
        Where it is False the index is 0 and has no meaning.
    """
    patch_yx = jnp.floor(clicks.yx / patch_size)
    grid_size = jnp.asarray((height, width))
    is_inside = ((patch_yx >= 0) & (patch_yx < grid_size[None])).all(-1)
    is_clicked = is_inside & clicks.is_positive
    patch_yx = jnp.where(is_clicked[:, None], patch_yx, 0.0).astype(int)
    return patch_yx[:, 0] * width + patch_yx[:, 1], is_clicked
