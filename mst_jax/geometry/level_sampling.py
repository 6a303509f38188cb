"""Bilinear samples of the levels of a pyramid, as deformable attention sums them.

A cell is a pixel of a feature map. Axes: b batch, n queries (or cells, where there are no
queries), m cells of all levels, a heads, d channels of a head, l levels, p sampling points
of a head on a level, k corners of a 2x2 square, s squares, e = k d numbers of a square.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

# Positions and weights of samples are float32 on every device.
HIGHEST = jax.lax.Precision.HIGHEST

LevelSizes = tuple[tuple[int, int], ...]
"""(rows, columns) of each pyramid level, in the order of the list of cells."""


def split_levels(
    cells: Float[Array, "*b n c"], level_sizes: LevelSizes
) -> tuple[Float[Array, "*b _ _ c"], ...]:
    """Split a list of cells into the map of each level.

    Args:
        cells: [*b n c] cells of all levels, level by level and row by row.
        level_sizes: Rows and columns of each level.

    Returns:
        A map [*b rows columns c] for each level.
    """
    level_boundaries = np.cumsum([h * w for h, w in level_sizes])[:-1]
    return tuple(
        rearrange(level, "... (i j) c -> ... i j c", i=size[0])
        for level, size in zip(
            jnp.split(cells, level_boundaries, axis=-2), level_sizes, strict=True
        )
    )


def sample_levels(
    values: Float[Array, "b m a d"],
    sampling_points_yx: Float[Array, "b n a l p 2"],
    attention_weights: Float[Array, "b n a l p"],
    *,
    level_sizes: LevelSizes,
) -> Float[Array, "b n a d"]:
    """Compute weighted sums of bilinear samples, each head from its own channels.

    A head gathers from a table whose rows hold the 4 cells of a 2x2 square, so that a
    bilinear sample reads one row. The heads, and the sampling points of a head, run one
    after the other, and the backward pass gathers again: the gathered rows of all heads
    would take 200 MB for an image of 448 pixels (measured by
    `benchmarks/deformable.py`).

    Source: Zhu et al., Deformable DETR, ICLR 2021, Eq. 3.

    Args:
        values: [b m a d] cells of all levels, level by level and row by row.
        sampling_points_yx: [b n a l p 2] (row, column) in cells of the sampled level;
            cell centers have integer coordinates. Maps are 0 outside.
        attention_weights: [b n a l p] weight of each sample.
        level_sizes: Rows and columns of each level.

    Returns:
        [b n a d] float32 weighted sums.
    """
    # 1. For each sampling point: its row in the table, and the bilinear weights of the
    # four cells of that row.
    table_rows, corner_weights = _table_rows_and_weights(
        sampling_points_yx.astype(jnp.float32), level_sizes
    )
    sample_weights = corner_weights * attention_weights.astype(jnp.float32)[..., None]
    # 2. Heads first; the samples of all levels and points of a query form one axis.
    head_inputs = (
        _corner_table(values, level_sizes),
        rearrange(table_rows, "b n a l p -> a b n (l p)"),
        rearrange(sample_weights, "b n a l p k -> a b n (l p k)"),
    )
    # 3. One head at a time. Inside a loop XLA cannot merge the recomputation with the
    # forward pass, so `prevent_cse` is not needed.
    sampled_values = jax.lax.map(
        jax.checkpoint(_sample_head, prevent_cse=False), head_inputs
    )
    return rearrange(sampled_values, "a b n d -> b n a d")


def _corner_table(
    values: Float[Array, "b m a d"], level_sizes: LevelSizes
) -> Float[Array, "a b s 4*d"]:
    """Return the cells of each 2x2 square side by side, on maps with a border of zeros.

    A level of h x w cells has (h + 1) x (w + 1) squares. The first begins in the
    border, at row -1 and column -1.
    """
    values = rearrange(values, "b m a d -> a b m d")
    level_tables = []
    for cells, (h, w) in zip(
        split_levels(values, level_sizes), level_sizes, strict=True
    ):
        padded_cells = jnp.pad(cells, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
        # Upper left, upper right, lower left, lower right.
        corner_cells = [
            padded_cells[:, :, y : y + h + 1, x : x + w + 1]
            for y in (0, 1)
            for x in (0, 1)
        ]
        level_tables.append(
            rearrange(jnp.concatenate(corner_cells, -1), "a b h w e -> a b (h w) e")
        )
    return jnp.concatenate(level_tables, axis=2)


def _table_rows_and_weights(
    sampling_points_yx: Float[Array, "b n a l p 2"], level_sizes: LevelSizes
) -> tuple[Int[Array, "b n a l p"], Float[Array, "b n a l p 4"]]:
    """Return the table row of the square around each point, and bilinear weights."""
    # 1. Points beyond the border of zeros are moved onto it, where every sample is 0.
    upper_limit = np.asarray(level_sizes, np.float32)[None, None, None, :, None]
    clipped_points_yx = jnp.clip(
        sampling_points_yx,
        -1.0,
        jnp.broadcast_to(upper_limit, sampling_points_yx.shape),
    )
    # 2. Upper left cell of the square, and the position inside the square, 0 to 1.
    corner_yx = jnp.minimum(jnp.floor(clipped_points_yx), upper_limit - 1)
    y, x = jnp.moveaxis(clipped_points_yx - corner_yx, -1, 0)
    square_row, square_column = jnp.moveaxis(corner_yx.astype(jnp.int32) + 1, -1, 0)
    # 3. Squares are numbered level by level and row by row.
    num_squares = [(h + 1) * (w + 1) for h, w in level_sizes]
    level_start = np.cumsum([0, *num_squares[:-1]], dtype=np.int32)
    row_stride = np.asarray([w + 1 for _, w in level_sizes], np.int32)
    level_start, row_stride = (
        per_level[None, None, None, :, None] for per_level in (level_start, row_stride)
    )
    corner_weights = ((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x)
    table_rows = level_start + square_row * row_stride + square_column
    return table_rows, jnp.stack(corner_weights, axis=-1)


def _sample_head(
    head_inputs: tuple[
        Float[Array, "b s e"], Int[Array, "b n p"], Float[Array, "b n 4*p"]
    ],
) -> Float[Array, "b n d"]:
    """Gather the squares of one head and sum them, weighted; see `sample_levels`.

    Here p counts the points of all levels.
    """
    corner_table, table_rows, sample_weights = head_inputs
    return jax.lax.platform_dependent(
        # Float32: the gradient of the table is summed point by point, in its dtype.
        corner_table.astype(jnp.float32),
        rearrange(table_rows, "b n p -> p b n"),
        rearrange(sample_weights, "b n (p k) -> p b n k", k=4),
        tpu=_sum_points_in_lanes,
        default=_sum_points,
    )


def _sum_points(
    corner_table: Float[Array, "b s e"],
    table_rows: Int[Array, "p b n"],
    sample_weights: Float[Array, "p b n 4"],
) -> Float[Array, "b n d"]:
    """Return the weighted sum of the samples of one head, point by point."""

    def weigh_cells(squares: Array, corner_weights: Array) -> Array:
        cells = rearrange(squares, "b n (k d) -> b n k d", k=4)
        return jnp.einsum("bnkd,bnk->bnd", cells, corner_weights, precision=HIGHEST)

    return _scan_points(corner_table, table_rows, sample_weights, weigh_cells)


def _sum_points_in_lanes(
    corner_table: Float[Array, "b s e"],
    table_rows: Int[Array, "p b n"],
    sample_weights: Float[Array, "p b n 4"],
) -> Float[Array, "b n d"]:
    """Return the same, with the numbers of a square side by side until the end.

    Products with matrices of 0 and 1 repeat a weight for each channel of its cell, and
    add the cells of a square. The lanes of a TPU hold a square, but not the [4 d] of its
    cells: the compiler for v5e estimates two thirds of the cycles, without the gathers.
    """
    num_channels = corner_table.shape[-1] // 4
    repeat_weights = np.repeat(np.eye(4, dtype=np.float32), num_channels, axis=1)
    add_cells = np.tile(np.eye(num_channels, dtype=np.float32), (4, 1))

    def weigh_squares(squares: Array, corner_weights: Array) -> Array:
        return squares * jnp.einsum(
            "bnk,ke->bne", corner_weights, repeat_weights, precision=HIGHEST
        )

    squares = _scan_points(corner_table, table_rows, sample_weights, weigh_squares)
    return jnp.einsum("bne,ed->bnd", squares, add_cells, precision=HIGHEST)


def _scan_points(
    corner_table: Float[Array, "b s e"],
    table_rows: Int[Array, "p b n"],
    sample_weights: Float[Array, "p b n 4"],
    weigh: Callable[[Array, Array], Array],
) -> Float[Array, "b n _"]:
    """Gather the squares of one sampling point after the other, and add them, weighted.

    All points at once take twice the cycles on a v5e by the compiler's estimate, without
    the gathers, and five times the memory.

    Args:
        corner_table: [b s e] squares of one head.
        table_rows: [p b n] row of each sampling point.
        sample_weights: [p b n 4] weights of the four cells of its square.
        weigh: Function of the squares [b n e] and their weights [b n 4] of one point.
    """

    def weigh_point(point_rows: Array, corner_weights: Array) -> Array:
        # "clip": offsets that are NaN (training diverged) must not read outside the
        # table.
        squares = jnp.take_along_axis(
            corner_table, point_rows[..., None], axis=1, mode="clip"
        )
        return weigh(squares, corner_weights)

    def add_point(
        weighted_sum: Array, point_inputs: tuple[Array, Array]
    ) -> tuple[Array, None]:
        return weighted_sum + weigh_point(*point_inputs), None

    point_inputs = table_rows, sample_weights
    first_point = jax.tree.map(lambda inputs: inputs[0], point_inputs)
    zeros = jnp.zeros_like(jax.eval_shape(weigh_point, *first_point))
    add_point = jax.checkpoint(add_point, prevent_cse=False)
    return jax.lax.scan(add_point, zeros, point_inputs)[0]
