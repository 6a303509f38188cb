"""Resizing of maps, with the rule for the corners in the name of the function.

*Corners aligned*: the centres of the corner pixels stay in the corners. *Pixel centres*:
the outlines of the pictures fall together, as OpenCV and `jax.image.resize` have it.

Sizes are static. Each axis is one product with a small constant matrix: no gather, and
no scatter in the gradient. All in float32, the result in the type of the input.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# The a of the cubic kernel. The published ViTs resize positions with the first, smoothed
# pictures and kernels with the second, as `jax.image.resize` does.
POSITION_SHARPNESS, KEYS_SHARPNESS = -0.75, -0.5


def resize_corners_aligned(
    x: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b i j c"]:
    """Resizes bilinearly with aligned corners (PyTorch: `align_corners=True`)."""
    rows = _linear(_corners_aligned(x.shape[-3], height), x.shape[-3])
    columns = _linear(_corners_aligned(x.shape[-2], width), x.shape[-2])
    return _resize(x, rows, columns)


def resize_pixel_centres(
    x: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b i j c"]:
    """Resizes bilinearly by pixel centres, not smoothed (`align_corners=False`)."""
    rows = _linear(_pixel_centres(x.shape[-3], height), x.shape[-3])
    columns = _linear(_pixel_centres(x.shape[-2], width), x.shape[-2])
    return _resize(x, rows, columns)


def resize_positions_bicubic(
    grid: Float[Array, "h w c"], height: int, width: int
) -> Float[Array, "i j c"]:
    """Resizes a grid of position vectors as the published ViTs do.

    Bicubic by pixel centres with a = -0.75, not smoothed; at the border the last row or
    column is repeated.
    """
    rows = _cubic(_pixel_centres(grid.shape[0], height), grid.shape[0])
    columns = _cubic(_pixel_centres(grid.shape[1], width), grid.shape[1])
    return _resize(grid, rows, columns)


def resize_bicubic_antialiased(
    x: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b i j c"]:
    """Resizes bicubically by pixel centres with a = -0.5, smoothed when shrinking."""
    rows = antialiased_cubic_weights(x.shape[-3], height)
    columns = antialiased_cubic_weights(x.shape[-2], width)
    return _resize(x, rows, columns)


def antialiased_cubic_weights(num_old: int, num_new: int) -> Float[np.ndarray, "i h"]:
    """Weights of `resize_bicubic_antialiased` along one axis.

    Shrinking widens the cubic by the factor; pixels outside have no weight, and the
    weights of a place sum to 1.
    """
    places = _pixel_centres(num_old, num_new)
    apart = np.abs(places[:, None] - np.arange(num_old))
    weights = _cubic_kernel(apart / max(num_old / num_new, 1.0), KEYS_SHARPNESS)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _resize(
    x: Float[Array, "*b h w c"],
    rows: Float[np.ndarray, "i h"],
    columns: Float[np.ndarray, "j w"],
) -> Float[Array, "*b i j c"]:
    """Mixes rows, then columns; an axis whose size stays is left alone."""
    mixed = x.astype(jnp.float32)
    for weights, pattern in (
        (rows, "...hwc,ih->...iwc"),
        (columns, "...hwc,jw->...hjc"),
    ):
        if weights.shape[0] != weights.shape[1]:
            # Sums of shifted maps are quicker alone, but three times slower backward
            # where XLA fuses them with what comes before (the MLP head, on the CPU).
            highest = jax.lax.Precision.HIGHEST
            mixed = jnp.einsum(pattern, mixed, weights, precision=highest)
    return mixed.astype(x.dtype)


def _corners_aligned(num_old: int, num_new: int) -> Float[np.ndarray, " i"]:
    """Where the new pixels lie, counted in old ones."""
    return np.arange(num_new) * ((num_old - 1) / max(num_new - 1, 1))


def _pixel_centres(num_old: int, num_new: int) -> Float[np.ndarray, " i"]:
    """Where the new pixels lie, counted in old ones; some lie outside."""
    return (np.arange(num_new) + 0.5) * (num_old / num_new) - 0.5


def _linear(places: Float[np.ndarray, " i"], num_old: int) -> Float[np.ndarray, "i h"]:
    """Weights of the two pixels around each place; outside, of the last one."""
    places = np.clip(places, 0, num_old - 1)
    apart = np.abs(places[:, None] - np.arange(num_old))
    return np.maximum(1.0 - apart, 0.0).astype(np.float32)


def _cubic(places: Float[np.ndarray, " i"], num_old: int) -> Float[np.ndarray, "i h"]:
    """Weights of the four pixels around each place; pixels outside are the last one."""
    pixel = np.floor(places)[:, None].astype(int) + np.arange(-1, 3)
    cubic = _cubic_kernel(np.abs(places[:, None] - pixel), POSITION_SHARPNESS)
    weights = np.zeros((len(places), num_old))
    place = np.broadcast_to(np.arange(len(places))[:, None], pixel.shape)
    np.add.at(weights, (place, np.clip(pixel, 0, num_old - 1)), cubic)
    return weights.astype(np.float32)


def _cubic_kernel(x: Float[np.ndarray, "*i"], a: float) -> Float[np.ndarray, "*i"]:
    """The cubic convolution kernel at distances x >= 0 (Keys, 1981, Eq. 15)."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
