"""Programs compiled apart from running them, so that clocks measure running only."""

import functools
from collections.abc import Callable

import jax
from jax.sharding import Sharding
from jaxtyping import Array


def compiled(
    function: Callable, *arguments: object, **settings: object
) -> jax.stages.Compiled:
    """The program of a function for arguments of these shapes, compiled once.

    Args:
        function: of the arguments and the settings; one that outlives the call.
        arguments: trees of arrays on a device.
        settings: what the program is made for; they can be hashed.
    """
    leaves, tree = jax.tree.flatten(arguments)
    return _compiled(function, tree, tuple(map(_description, leaves)), **settings)


@functools.lru_cache(maxsize=64)
def _compiled(
    function: Callable,
    tree: jax.tree_util.PyTreeDef,
    leaves: tuple[jax.ShapeDtypeStruct, ...],
    **settings: object,
) -> jax.stages.Compiled:
    run = jax.jit(functools.partial(function, **settings))
    return run.lower(*jax.tree.unflatten(tree, leaves)).compile()


def _description(x: Array) -> jax.ShapeDtypeStruct:
    """Returns all that the compiler needs to know of an array."""
    sharding: Sharding = x.sharding
    return jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=sharding, weak_type=x.weak_type
    )
