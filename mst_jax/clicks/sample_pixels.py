"""Pixels drawn evenly from a set of pixels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray


def draw_pixels(
    key: PRNGKeyArray, allowed: Bool[Array, "h w"], *, num: int
) -> tuple[Int[Array, "n 2"], Bool[Array, ""]]:
    """Draws `num` pixels, each evenly among the True ones and apart from the others.

    The rank of the pixel is drawn, then looked up: first its row in the running count
    of the rows, then its column in the running count of that row. No draw touches more
    than one row.

    Returns:
        [n 2] (row, column), the same pixel may come twice; and whether there was any
        True pixel to draw from (if not, the places mean nothing).
    """
    in_row = allowed.sum(axis=1, dtype=int)
    through_row = jnp.cumsum(in_row)
    total = through_row[-1]
    rank = jax.random.randint(key, (num,), 0, jnp.maximum(total, 1))
    row = jnp.searchsorted(through_row, rank, side="right")
    row = jnp.minimum(row, allowed.shape[0] - 1)
    rank_in_row = rank - (through_row - in_row)[row]
    through_column = jnp.cumsum(allowed[row], axis=1, dtype=int)
    column = (through_column <= rank_in_row[:, None]).sum(axis=1)
    return jnp.stack([row, column], axis=-1), total > 0
