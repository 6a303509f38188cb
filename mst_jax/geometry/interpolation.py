"""Linear interpolation of maps at positions that may be traced."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def interpolate_rows(
    array: Float[Array, "h *c"], row: Int[Array, " i"], fraction: Float[Array, " i"]
) -> Float[Array, "i *c"]:
    """Interpolate rows of a map linearly: `fraction` of the way from `row` to the next.

    Whole part and fraction are separate arguments, so that a position far from the origin
    is as exact as one near it.

    Args:
        array: [h *c] the map.
        row: [i] whole part of the positions; outside the map the first or last row.
        fraction: [i] fractional part of the positions, 0 to 1.
    """
    last = array.shape[0] - 1
    # The fraction broadcasts over columns and channels.
    weight = fraction.reshape(-1, *[1] * (array.ndim - 1))
    lower = array[jnp.clip(row, 0, last)]
    upper = array[jnp.clip(row + 1, 0, last)]
    return lower + weight * (upper - lower)


def interpolate_columns(
    array: Float[Array, "h w *c"],
    column: Int[Array, " j"],
    fraction: Float[Array, " j"],
) -> Float[Array, "h j *c"]:
    """Interpolate columns of a map linearly; see `interpolate_rows`.

    Args:
        array: [h w *c] the map.
        column: [j] whole part of the positions; outside the map the border column.
        fraction: [j] fractional part of the positions, 0 to 1.
    """
    last = array.shape[1] - 1
    weight = fraction.reshape(1, -1, *[1] * (array.ndim - 2))
    lower = array[:, jnp.clip(column, 0, last)]
    upper = array[:, jnp.clip(column + 1, 0, last)]
    return lower + weight * (upper - lower)
