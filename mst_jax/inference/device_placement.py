"""Place images on the devices of a model's parameters, so that no click recompiles."""

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mst_jax.interaction.zoom_predict import ClickModelFn


def parameter_sharding(model: ClickModelFn) -> jax.sharding.Sharding:
    """Return the sharding for the images of a model: the devices of its parameters.

    JAX compiles a program again when an argument changes from uncommitted to committed to
    a device. Every array that is passed more than once is therefore placed with this
    sharding from the first click on.

    Args:
        model: Any callable; a pytree with arrays as leaves has parameters.

    Returns:
        The device of the parameters, or all devices of their mesh (the image is
        replicated); JAX's default device for a model without parameters.
    """
    for leaf in jax.tree.leaves(model):
        if isinstance(leaf, jax.Array):
            if isinstance(leaf.sharding, NamedSharding):
                return NamedSharding(leaf.sharding.mesh, PartitionSpec())
            return leaf.sharding
    return jax.device_put(np.zeros(())).sharding
