"""Compile functions ahead of time, so that timings measure the execution alone."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec, Sharding
from jaxtyping import Array

MAX_CACHED_PROGRAMS = 64


def compile_ahead_of_time(
    function: Callable[..., Any],
    *arguments: Any,
    donate_argnums: tuple[int, ...] = (),
    **static_arguments: Any,
) -> jax.stages.Compiled:
    """Compile a function for arguments of these shapes, or return the cached program.

    Args:
        function: Function of the arguments and the static arguments; one that outlives
            the call, because the cache holds a reference to it.
        *arguments: Pytrees of arrays on a device; only their shapes, dtypes and
            shardings matter.
        donate_argnums: Positions of the arguments whose memory the result may reuse.
        **static_arguments: Hashable keyword arguments that the program is specialized
            to.

    Returns:
        The compiled program; it takes arguments with the shapes of `arguments`.
    """
    array_leaves, tree_structure = jax.tree.flatten(arguments)
    leaf_shapes = tuple(map(_shape_of_array, array_leaves))
    return _compile_for_shapes(
        function, tree_structure, leaf_shapes, donate_argnums, **static_arguments
    )


@functools.lru_cache(maxsize=MAX_CACHED_PROGRAMS)
def _compile_for_shapes(
    function: Callable[..., Any],
    tree_structure: Any,
    leaf_shapes: tuple[jax.ShapeDtypeStruct, ...],
    donate_argnums: tuple[int, ...],
    **static_arguments: Any,
) -> jax.stages.Compiled:
    """Compile a function for a pytree structure and the shapes of its leaves."""
    # The partial function is new in each call, so only the cache above avoids retracing.
    specialized_function = functools.partial(function, **static_arguments)
    jitted_function = jax.jit(specialized_function, donate_argnums=donate_argnums)
    return jitted_function.lower(
        *jax.tree.unflatten(tree_structure, leaf_shapes)
    ).compile()


def _shape_of_array(array: Array) -> jax.ShapeDtypeStruct:
    """Return all that the compiler needs to know about an array."""
    sharding: Sharding = array.sharding
    # On one device all specs place an array equally, and programs return the array of
    # an argument with another spec: as keys of the cache they have to be equal.
    if isinstance(sharding, NamedSharding) and sharding.num_devices == 1:
        sharding = NamedSharding(sharding.mesh, PartitionSpec())
    # A program for strongly typed inputs rejects weakly typed ones, and the reverse.
    return jax.ShapeDtypeStruct(
        array.shape, array.dtype, sharding=sharding, weak_type=array.weak_type
    )
