"""Collective operations over the batch axis: sums, shards and random keys.

Under `jax.jit` a program sees the whole batch, on however many devices it is sharded;
then every function here returns its input. Under `jax.pmap` with the axis name
`BATCH_AXIS` the program runs on the shard of each device; here the shards are combined, so
that sums, means and random keys are those of the whole batch.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PRNGKeyArray

T = TypeVar("T")

BATCH_AXIS = "examples"
"""Axis name of `jax.pmap`."""


def num_batch_shards() -> int:
    """Return the number of devices that share the batch by `jax.pmap`, else 1."""
    try:
        return jax.lax.axis_size(BATCH_AXIS)
    except NameError:  # raised by JAX where no such axis exists
        return 1


def sum_over_shards(tree: T) -> T:
    """Sum arrays over the shards. Do not differentiate the result."""
    return jax.lax.psum(tree, BATCH_AXIS) if num_batch_shards() > 1 else tree


def any_across_devices(found: Bool[Array, "b *rest"]) -> Bool[Array, "*rest"]:
    """Return True where any example of the whole batch is True."""
    return sum_over_shards(found.any(0).astype(jnp.int32)) > 0


def local_shard(whole: Array) -> Array:
    """Return the rows of this device's examples.

    Args:
        whole: [b ...] array with one row for each example of the whole batch.
    """
    if num_batch_shards() == 1:
        return whole
    num_local = len(whole) // num_batch_shards()
    first = num_local * jax.lax.axis_index(BATCH_AXIS)
    return jax.lax.dynamic_slice_in_dim(whole, first, num_local)


def split_key_per_example(key: PRNGKeyArray, num_local: int) -> Key[Array, " b"]:
    """Split a key into one key for each example of this device's shard.

    The key of an example does not depend on how the batch is sharded.

    Args:
        key: Random key, the same on all devices, not reused elsewhere.
        num_local: Number of examples on this device.
    """
    return local_shard(jax.random.split(key, num_batch_shards() * num_local))
