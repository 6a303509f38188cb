"""Grid of tokens to windows of tokens and back."""

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Bool, Float


def to_windows(
    grid: Float[Array, "b h w c"], *, size: int
) -> tuple[Float[Array, "m n c"], Bool[Array, "m n"]]:
    """Cuts a grid into square windows, all windows of an example together, row by row.

    A grid that is not whole windows is filled up below and to the right.

    Args:
        grid: [b h w c] tokens.
        size: side of a window in tokens.

    Returns:
        [m n c] windows of n = size * size tokens, and [m n] True on tokens that were
        filled in and must not be attended to.
    """
    b, h, w, _ = grid.shape
    below, right = -h % size, -w % size
    filled = jnp.ones((b, h, w, 1), bool)
    widths = ((0, 0), (0, below), (0, right), (0, 0))
    pattern = "b (i y) (j x) c -> (b i j) (y x) c"
    windows = rearrange(jnp.pad(grid, widths), pattern, y=size, x=size)
    real = rearrange(jnp.pad(filled, widths), pattern, y=size, x=size)
    return windows, ~real[..., 0]


def from_windows(
    windows: Float[Array, "m n c"], *, size: int, height: int, width: int
) -> Float[Array, "b h w c"]:
    """Puts windows back into a grid of height x width tokens; undoes `to_windows`."""
    rows, columns = -(-height // size), -(-width // size)
    grid = rearrange(
        windows,
        "(b i j) (y x) c -> b (i y) (j x) c",
        i=rows,
        j=columns,
        y=size,
        x=size,
    )
    return grid[:, :height, :width]
