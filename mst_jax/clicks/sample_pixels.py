"""Sample pixels uniformly from a set of pixels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray


def sample_pixels(
    key: PRNGKeyArray, allowed: Bool[Array, "h w"], *, num: int
) -> tuple[Int[Array, "n 2"], Bool[Array, ""]]:
    """Sample pixels, each uniformly among the allowed ones and independently.

    The rank of the pixel is drawn and then looked up: its row in the cumulative count of
    the rows, its column in the cumulative count of that row. No sample reads more than
    one row.

    Args:
        key: Random key.
        allowed: [h w] True on pixels to sample from.
        num: Number of samples n.

    Returns:
        [n 2] row and column of each sample, with replacement; and whether any pixel is
        allowed (if not, the samples have no meaning).
    """
    row_counts = allowed.sum(axis=1, dtype=int)
    cumulative_rows = jnp.cumsum(row_counts)
    num_allowed = cumulative_rows[-1]
    rank = jax.random.randint(key, (num,), 0, jnp.maximum(num_allowed, 1))
    # Counted, because a binary search is a loop on the device.
    row = jnp.searchsorted(cumulative_rows, rank, side="right", method="compare_all")
    row = jnp.minimum(row, allowed.shape[0] - 1)
    rank_in_row = rank - (cumulative_rows - row_counts)[row]
    cumulative_columns = jnp.cumsum(allowed[row], axis=1, dtype=int)
    column = (cumulative_columns <= rank_in_row[:, None]).sum(axis=1)
    return jnp.stack([row, column], axis=-1), num_allowed > 0
