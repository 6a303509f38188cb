"""Resize maps; the name of each function states its coordinate convention.

*Corners aligned*: the centers of the corner pixels stay in the corners
(`align_corners=True` in PyTorch). *Pixel centers*: the borders of the images coincide, as
in OpenCV and `jax.image.resize`.

Sizes are static. Each axis is one product with a small constant matrix: no gather, and no
scatter in the gradient. The products are float32, the result has the input's dtype.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Parameter a of the cubic kernel. The published ViTs resize position embeddings with the
# first value, antialiased images and kernels with the second, as `jax.image.resize` does.
POSITION_CUBIC_A, KEYS_CUBIC_A = -0.75, -0.5


def resize_corners_aligned(
    array: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b i j c"]:
    """Resize bilinearly with aligned corners (PyTorch: `align_corners=True`).

    Args:
        array: [*b h w c] maps.
        height: New height in pixels.
        width: New width in pixels.
    """
    num_rows, num_columns = array.shape[-3:-1]
    rows = _linear_weights(_corner_positions(num_rows, height), num_rows)
    columns = _linear_weights(_corner_positions(num_columns, width), num_columns)
    return _apply_weights(array, rows, columns)


def resize_pixel_centers(
    array: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b i j c"]:
    """Resize bilinearly by pixel centers without antialiasing (`align_corners=False`).

    Args:
        array: [*b h w c] maps.
        height: New height in pixels.
        width: New width in pixels.
    """
    num_rows, num_columns = array.shape[-3:-1]
    rows = _linear_weights(_center_positions(num_rows, height), num_rows)
    columns = _linear_weights(_center_positions(num_columns, width), num_columns)
    return _apply_weights(array, rows, columns)


def resize_positions_bicubic(
    grid: Float[Array, "h w c"], height: int, width: int
) -> Float[Array, "i j c"]:
    """Resize a grid of position embeddings as the published ViTs do.

    Bicubic by pixel centers with a = -0.75, without antialiasing; the last row or column
    is repeated at the border.

    Args:
        grid: [h w c] position embeddings.
        height: New number of rows.
        width: New number of columns.
    """
    num_rows, num_columns = grid.shape[:2]
    rows = _cubic_weights(_center_positions(num_rows, height), num_rows)
    columns = _cubic_weights(_center_positions(num_columns, width), num_columns)
    return _apply_weights(grid, rows, columns)


def resize_bicubic_antialiased(
    array: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b i j c"]:
    """Resize bicubically by pixel centers with a = -0.5, antialiased when shrinking.

    Args:
        array: [*b h w c] maps.
        height: New height in pixels.
        width: New width in pixels.
    """
    rows = antialiased_cubic_weights(array.shape[-3], height)
    columns = antialiased_cubic_weights(array.shape[-2], width)
    return _apply_weights(array, rows, columns)


def antialiased_cubic_weights(num_old: int, num_new: int) -> Float[np.ndarray, "i h"]:
    """Return the weights of `resize_bicubic_antialiased` along one axis.

    Shrinking widens the kernel by the scale factor. Pixels outside the map have no
    weight, and the weights of each new pixel sum to 1.

    Args:
        num_old: Number of pixels before, h.
        num_new: Number of pixels after, i.
    """
    positions = _center_positions(num_old, num_new)
    # A wider kernel averages the pixels that a new pixel covers (low-pass filter).
    distances = np.abs(positions[:, None] - np.arange(num_old))
    weights = _cubic_kernel(distances / max(num_old / num_new, 1.0), KEYS_CUBIC_A)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@jax.named_scope("resize")
def _apply_weights(
    array: Float[Array, "*b h w c"],
    rows: Float[np.ndarray, "i h"],
    columns: Float[np.ndarray, "j w"],
) -> Float[Array, "*b i j c"]:
    """Multiply rows, then columns, by their weights; skip an axis that keeps its size."""
    highest = jax.lax.Precision.HIGHEST
    *batch, h, w, c = array.shape
    i, j = len(rows), len(columns)
    resized = array.astype(jnp.float32).reshape(-1, h, w * c)
    # One product for each map, or for each row of channels, needs no transpose of the
    # map. CPUs compute it two to three times as fast as one product of all, with equal
    # results. Sums of shifted maps are slow in the backward pass. `shape[0]`, because
    # the number of maps is symbolic in exported programs, which `len` refuses.
    if i != h:
        rows_of_map = jnp.broadcast_to(rows, (resized.shape[0], i, h))
        resized = jnp.matmul(rows_of_map, resized, precision=highest)
    resized = resized.reshape(-1, w, c)
    if j != w and c >= w:
        columns_of_row = jnp.broadcast_to(columns, (resized.shape[0], j, w))
        resized = jnp.matmul(columns_of_row, resized, precision=highest)
    elif j != w:
        # The copies of the weights would be larger than the map.
        resized = jnp.einsum("nwc,jw->njc", resized, columns, precision=highest)
    return resized.reshape(*batch, i, j, c).astype(array.dtype)


def _corner_positions(num_old: int, num_new: int) -> Float[np.ndarray, " i"]:
    """Return the positions of the new pixels in old pixels, corners aligned."""
    return np.arange(num_new) * ((num_old - 1) / max(num_new - 1, 1))


def _center_positions(num_old: int, num_new: int) -> Float[np.ndarray, " i"]:
    """Return the positions of the new pixels in old pixels; some lie outside."""
    return (np.arange(num_new) + 0.5) * (num_old / num_new) - 0.5


def _linear_weights(
    positions: Float[np.ndarray, " i"], num_old: int
) -> Float[np.ndarray, "i h"]:
    """Return the weights of the two pixels around each position; outside: the border."""
    positions = np.clip(positions, 0, num_old - 1)
    distances = np.abs(positions[:, None] - np.arange(num_old))
    return np.maximum(1.0 - distances, 0.0).astype(np.float32)


def _cubic_weights(
    positions: Float[np.ndarray, " i"], num_old: int
) -> Float[np.ndarray, "i h"]:
    """Return the weights of the four pixels around each position; outside: the border."""
    # The pixel before the position, the one before it, and the two after it.
    neighbors = np.floor(positions)[:, None].astype(int) + np.arange(-1, 3)
    kernel = _cubic_kernel(np.abs(positions[:, None] - neighbors), POSITION_CUBIC_A)
    weights = np.zeros((len(positions), num_old))
    new_index = np.broadcast_to(np.arange(len(positions))[:, None], neighbors.shape)
    # Neighbors outside are clipped to the border, where their weights add up.
    np.add.at(weights, (new_index, np.clip(neighbors, 0, num_old - 1)), kernel)
    return weights.astype(np.float32)


def _cubic_kernel(
    distance: Float[np.ndarray, "*i"], a: float
) -> Float[np.ndarray, "*i"]:
    """Evaluate the cubic convolution kernel at distances >= 0 (Keys, 1981, Eq. 15)."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
