"""Equal layers as one loop, whose body is compiled once."""

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mst_jax.path_rules import leaf_path


def shortest_period(layers: Sequence[Hashable]) -> int:
    """Return the size of the smallest group of layers that repeats to the end.

    Args:
        layers: Value of each layer; equal layers have equal values.
    """
    num_layers = len(layers)
    return next(
        size
        for size in range(1, num_layers + 1)
        if num_layers % size == 0
        and list(layers) == list(layers[:size]) * (num_layers // size)
    )


def stack_parameters(layer_params: Sequence[Any], kernel_dtype: DTypeLike) -> Any:
    """Stack the parameters of equal layers for `jax.lax.scan`.

    Args:
        layer_params: Parameters of each layer.
        kernel_dtype: Dtype of the stacked kernels: where all kernels are rounded to the
            compute dtype anyway, it halves the bytes in bfloat16.

    Returns:
        Tree of arrays whose first axis is the layer.
    """

    def stack(path: tuple, *leaves: jax.Array) -> jax.Array:
        is_kernel = leaf_path(path).endswith("kernel")
        return jnp.stack(
            [leaf.astype(kernel_dtype) for leaf in leaves] if is_kernel else leaves
        )

    return jax.tree_util.tree_map_with_path(stack, *layer_params)
