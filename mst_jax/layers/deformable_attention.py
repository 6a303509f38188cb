"""Attention that reads a few places of several maps, and learns where they lie."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from mst_jax.layers.dense import Dense

# Rows and columns of each level, in the order in which their cells are listed.
Sizes = tuple[tuple[int, int], ...]


def cell_centres(sizes: Sizes) -> Float[np.ndarray, "n 2"]:
    """Centres of all cells, level by level, row by row: (row, column), 0 to 1 across."""
    grids = [(np.indices(size) + 0.5) / np.reshape(size, (2, 1, 1)) for size in sizes]
    cells = [rearrange(grid, "yx h w -> (h w) yx") for grid in grids]
    return np.concatenate(cells).astype(np.float32)


def split_levels(
    cells: Float[Array, "*b n c"], sizes: Sizes
) -> tuple[Float[Array, "*b _ _ c"], ...]:
    """The map of each level."""
    ends = np.cumsum([h * w for h, w in sizes])[:-1]
    return tuple(
        rearrange(level, "... (i j) c -> ... i j c", i=size[0])
        for level, size in zip(jnp.split(cells, ends, axis=-2), sizes, strict=True)
    )


def read_levels(
    values: Float[Array, "b m a d"],
    places_yx: Float[Array, "b n a l p 2"],
    weights: Float[Array, "b n a l p"],
    *,
    sizes: Sizes,
) -> Float[Array, "b n a d"]:
    """Weighted sums of bilinear readings, each head from its own channels.

    A head makes one gather: each cell is laid out together with its neighbours to the
    right and below, so that a place is one row of 4 d numbers. The heads take turns, and
    the gradient gathers anew: all the rows at once would be 200 MB a picture of 448
    pixels (measured: `benchmarks/deformable.py`).

    Source: Zhu et al., Deformable DETR, ICLR 2021, Eq. 3.

    Args:
        values: [b m a d] cells of all levels, row by row.
        places_yx: [b n a l p 2] in cells of the level they read; centres are whole
            numbers. Maps are 0 outside.
        weights: [b n a l p] of the readings.
        sizes: rows and columns of each level.

    Returns:
        [b n a d] float32.
    """
    first, corners = _around(places_yx.astype(jnp.float32), sizes)
    shares = corners * weights.astype(jnp.float32)[..., None]
    heads = (
        _squares(values, sizes),
        rearrange(first, "b n a l p -> a b n (l p)"),
        rearrange(shares, "b n a l p k -> a b n (l p k)"),
    )
    read = jax.lax.map(jax.checkpoint(_read_head, prevent_cse=False), heads)
    return rearrange(read, "a b n d -> b n a d")


def _squares(
    values: Float[Array, "b m a d"], sizes: Sizes
) -> Float[Array, "a b s 4*d"]:
    """All 2x2 squares of the maps, framed by zeros; the first begins outside them."""
    values, squares = rearrange(values, "b m a d -> a b m d"), []
    for cells, (h, w) in zip(split_levels(values, sizes), sizes, strict=True):
        cells = jnp.pad(cells, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
        corners = [
            cells[:, :, y : y + h + 1, x : x + w + 1] for y in (0, 1) for x in (0, 1)
        ]
        squares.append(
            rearrange(jnp.concatenate(corners, -1), "a b h w e -> a b (h w) e")
        )
    return jnp.concatenate(squares, axis=2)


def _around(
    places_yx: Float[Array, "b n a l p 2"], sizes: Sizes
) -> tuple[Int[Array, "b n a l p"], Float[Array, "b n a l p 4"]]:
    """The number of the square around each place, and the shares of its corners."""
    last = np.asarray(sizes, np.float32)[None, None, None, :, None]
    places = jnp.clip(places_yx, -1.0, jnp.broadcast_to(last, places_yx.shape))
    corner = jnp.minimum(jnp.floor(places), last - 1)
    y, x = jnp.moveaxis(places - corner, -1, 0)
    row, column = jnp.moveaxis(corner.astype(jnp.int32) + 1, -1, 0)

    num_squares = [(h + 1) * (w + 1) for h, w in sizes]
    start = np.cumsum([0, *num_squares[:-1]], dtype=np.int32)
    stride = np.asarray([w + 1 for _, w in sizes], np.int32)
    start, stride = (one[None, None, None, :, None] for one in (start, stride))
    shares = ((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x)
    return start + row * stride + column, jnp.stack(shares, axis=-1)


def _read_head(
    head: tuple[Float[Array, "b s e"], Int[Array, "b n p"], Float[Array, "b n 4*p"]],
) -> Float[Array, "b n d"]:
    """Squares of one head, places to read, shares of their corners -> sums of readings."""
    squares, first, shares = head
    rows = rearrange(first, "b n p -> b (n p) 1")
    # Numbers that are none (a run that diverged) must not read outside the memory.
    read = jnp.take_along_axis(squares, rows, axis=1, mode="clip")
    n, p = first.shape[1:]
    read = rearrange(read, "b (n p) (k d) -> b n (p k) d", n=n, p=p, k=4)
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum(
        "bnkd,bnk->bnd", read.astype(jnp.float32), shares, precision=highest
    )


def ring(
    num_heads: int, num_levels: int, num_points: int
) -> Float[np.ndarray, "a l p 2"]:
    """Where a new module looks: each head in its direction, each point a cell farther.

    Source: Zhu et al., Deformable DETR, ICLR 2021, Appendix A.4: the eight neighbours,
    for eight heads.
    """
    angle = 2 * np.pi * np.arange(num_heads) / num_heads
    directions = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    directions /= np.abs(directions).max(axis=-1, keepdims=True)
    far = np.arange(1, num_points + 1)[:, None]
    points = (directions[:, None, None] * far).astype(np.float32)
    return np.broadcast_to(points, (num_heads, num_levels, num_points, 2))


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention: a query says where to look, and how much.

    Source: Zhu et al., Deformable DETR, ICLR 2021, Section 4.1. Places and weights are
    float32 whatever the products are.

    Attributes:
        num_heads: must divide the width of the query.
        num_points: places that a head reads on each level.
        dtype: of the products with the values.
    """

    num_heads: int = 8
    num_points: int = 4
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "b n c"],
        memory: Float[Array, "b m c"],
        *,
        centres_yx: Float[np.ndarray, "n 2"],
        sizes: Sizes,
    ) -> Float[Array, "b n c"]:
        """Gathers, for each query, around its own place on all levels.

        Args:
            query: [b n c] who looks, with positions.
            memory: [b m c] cells of all levels, row by row.
            centres_yx: [n 2] where the queries stand, 0 to 1 across every level.
            sizes: rows and columns of each level.

        Raises:
            ValueError: the width is not a multiple of `num_heads`.
        """
        width = query.shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"{self.num_heads} heads do not divide the width {width}; "
                "choose a width that is a multiple of the number of heads"
            )
        shape = (self.num_heads, len(sizes), self.num_points)
        start = ring(*shape)
        offsets = Dense(
            (*shape, 2),
            kernel_init=nn.initializers.zeros,
            bias_init=lambda _, flat, kind: jnp.asarray(start.reshape(flat), kind),
            name="offsets",
        )(query.astype(jnp.float32))
        logits = Dense(shape, kernel_init=nn.initializers.zeros, name="weights")(
            query.astype(jnp.float32)
        )
        weights = jax.nn.softmax(logits, axis=(-2, -1))

        cells = centres_yx[:, None] * np.asarray(sizes, np.float32) - 0.5
        places = cells[None, :, None, :, None] + offsets
        values = Dense(
            (self.num_heads, width // self.num_heads), dtype=self.dtype, name="value"
        )(memory)
        read = read_levels(values, places, weights, sizes=sizes).astype(self.dtype)
        return Dense(width, axis=(-2, -1), dtype=self.dtype, name="out")(read)
