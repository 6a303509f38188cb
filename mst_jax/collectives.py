"""What a device that holds a share of the batch must know of the rest.

Under `jax.jit` a program speaks of the whole batch, on however many devices it lies: then
every function here gives back what it got. Under `jax.pmap` over the axis `EXAMPLES` the
program runs on each device's share; here the shares become whole again, so that sums,
means and random keys are those of the whole batch.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PRNGKeyArray

T = TypeVar("T")

EXAMPLES = "examples"


def num_shares() -> int:
    """Devices that share the batch by `jax.pmap`; 1 everywhere else."""
    try:
        return jax.lax.axis_size(EXAMPLES)
    except NameError:  # how JAX says that there is no such axis here
        return 1


def total(tree: T) -> T:
    """Sums arrays over the shares. Not for what is differentiated afterwards."""
    return jax.lax.psum(tree, EXAMPLES) if num_shares() > 1 else tree


def anywhere(found: Bool[Array, "b *rest"]) -> Bool[Array, "*rest"]:
    """True where it is found in any example of the whole batch."""
    return total(found.any(0).astype(jnp.int32)) > 0


def own_share(whole: Array) -> Array:
    """The rows of this device's examples, of an array with a row for each example."""
    if num_shares() == 1:
        return whole
    num_here = len(whole) // num_shares()
    first = num_here * jax.lax.axis_index(EXAMPLES)
    return jax.lax.dynamic_slice_in_dim(whole, first, num_here)


def split_key(key: PRNGKeyArray, num_here: int) -> Key[Array, " b"]:
    """A key for each example here; an example's does not depend on who shares the batch.

    Args:
        key: random key, the same on all devices, used here only.
        num_here: examples on this device.
    """
    return own_share(jax.random.split(key, num_shares() * num_here))
