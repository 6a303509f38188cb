"""Reading a map between its pixels, at places that may be computed."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def read_rows(
    x: Float[Array, "h *c"], row: Int[Array, " i"], fraction: Float[Array, " i"]
) -> Float[Array, "i *c"]:
    """Reads rows of a map linearly: `fraction` of the way from `row` to the next.

    Row and fraction come apart, so that a place far from the origin is as exact as one
    near it. Places outside the map read its first or last row.

    Args:
        x: [h *c] the map.
        row: [i] whole part of the places.
        fraction: [i] 0 to 1.
    """
    last = x.shape[0] - 1
    share = fraction.reshape(-1, *[1] * (x.ndim - 1))
    here = x[jnp.clip(row, 0, last)]
    following = x[jnp.clip(row + 1, 0, last)]
    return here + share * (following - here)


def read_columns(
    x: Float[Array, "h w *c"], column: Int[Array, " j"], fraction: Float[Array, " j"]
) -> Float[Array, "h j *c"]:
    """Reads columns of a map linearly; see `read_rows`."""
    last = x.shape[1] - 1
    share = fraction.reshape(1, -1, *[1] * (x.ndim - 2))
    here = x[:, jnp.clip(column, 0, last)]
    following = x[:, jnp.clip(column + 1, 0, last)]
    return here + share * (following - here)
