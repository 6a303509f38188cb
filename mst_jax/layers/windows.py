"""Partition of a token grid into attention windows, and the inverse."""

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Bool, Float


def partition_windows(
    grid: Float[Array, "b h w c"], *, window_size: int
) -> tuple[Float[Array, "m n c"], Bool[Array, "m n"]]:
    """Partition a grid into square windows, row by row, example by example.

    A grid whose sides are not multiples of the window size is padded with zeros at the
    bottom and on the right.

    Args:
        grid: [b h w c] tokens.
        window_size: Side of a window in tokens.

    Returns:
        [m n c] windows of n = window_size^2 tokens, and [m n] True on padding tokens,
        which must not be attended to.
    """
    b, h, w, _ = grid.shape
    pad_bottom, pad_right = -h % window_size, -w % window_size
    pad_widths = ((0, 0), (0, pad_bottom), (0, pad_right), (0, 0))
    is_token = jnp.ones((b, h, w, 1), bool)
    # Padding and partition treat the tokens and the map of real tokens alike.
    window_pattern = "b (i y) (j x) c -> (b i j) (y x) c"
    window_sides = {"y": window_size, "x": window_size}
    windows = rearrange(jnp.pad(grid, pad_widths), window_pattern, **window_sides)
    is_token = rearrange(jnp.pad(is_token, pad_widths), window_pattern, **window_sides)
    return windows, ~is_token[..., 0]


def merge_windows(
    windows: Float[Array, "m n c"], *, window_size: int, height: int, width: int
) -> Float[Array, "b h w c"]:
    """Merge windows into a grid and drop the padding; inverts `partition_windows`.

    Args:
        windows: [m n c] windows of n = window_size^2 tokens.
        window_size: Side of a window in tokens.
        height: Number of rows of the grid without padding.
        width: Number of columns of the grid without padding.

    Returns:
        [b h w c] tokens.
    """
    # Rounded up: the last row and column of windows may be padded.
    window_rows, window_columns = -(-height // window_size), -(-width // window_size)
    grid = rearrange(
        windows,
        "(b i j) (y x) c -> b (i y) (j x) c",
        i=window_rows,
        j=window_columns,
        y=window_size,
        x=window_size,
    )
    return grid[:, :height, :width]
