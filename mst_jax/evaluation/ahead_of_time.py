"""Programs compiled apart from running them, so that clocks measure running only."""

import functools
from collections.abc import Callable

import jax
from jax.sharding import Sharding
from jaxtyping import Array


def compiled(
    function: Callable,
    *arguments: object,
    donated: tuple[int, ...] = (),
    **settings: object,
) -> jax.stages.Compiled:
    """The program of a function for arguments of these shapes, compiled once.

    Args:
        function: of the arguments and the settings; one that outlives the call.
        arguments: trees of arrays on a device.
        donated: numbers of the arguments whose memory the result may take.
        settings: what the program is made for; they can be hashed.
    """
    leaves, tree = jax.tree.flatten(arguments)
    described = tuple(map(_description, leaves))
    return _compiled(function, tree, described, donated, **settings)


@functools.lru_cache(maxsize=64)
def _compiled(
    function: Callable,
    tree: jax.tree_util.PyTreeDef,
    leaves: tuple[jax.ShapeDtypeStruct, ...],
    donated: tuple[int, ...],
    **settings: object,
) -> jax.stages.Compiled:
    run = jax.jit(functools.partial(function, **settings), donate_argnums=donated)
    return run.lower(*jax.tree.unflatten(tree, leaves)).compile()


def _description(x: Array) -> jax.ShapeDtypeStruct:
    """Returns all that the compiler needs to know of an array."""
    sharding: Sharding = x.sharding
    return jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=sharding, weak_type=x.weak_type
    )
