"""NumPy arrays of callers, who may change them as soon as a call returns."""

from typing import TypeVar

import jax
import numpy as np

T = TypeVar("T")


def copy_host_arrays(tree: T) -> T:
    """Copy the NumPy arrays of a tree, so that the caller may change the originals.

    JAX returns before it has computed, and on a CPU it reads the memory of a NumPy array
    instead of a copy.

    Args:
        tree: Any pytree; all leaves but NumPy arrays are returned as they are.
    """
    return jax.tree.map(
        lambda leaf: np.array(leaf) if isinstance(leaf, np.ndarray) else leaf, tree
    )
