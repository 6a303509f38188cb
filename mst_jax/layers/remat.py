"""Which intermediate results a layer keeps for the backward pass."""

import functools

import flax.linen as nn
import jax

REMATS = ("none", "products", "blocks")
"""What is computed again in the backward pass: nothing; everything between the layer's
matrix products (their results are kept, those of attention excepted); the whole layer."""


def check_remat(remat: str) -> None:
    """Raises ValueError unless the name is one of `REMATS`."""
    if remat not in REMATS:
        raise ValueError(f"model remat is {remat!r}; choose one of {', '.join(REMATS)}")


@functools.cache  # a module made twice is the same module, for whoever compiles it
def with_remat(
    layer: type[nn.Module], remat: str, *, static: tuple[int, ...] = ()
) -> type[nn.Module]:
    """The same kind of layer, with less to keep; parameters have the same paths.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174.

    Args:
        layer: kind of module.
        remat: one of `REMATS`.
        static: numbers of the arguments of its call that are not arrays, from 1.
    """
    if remat == "none":
        return layer
    policies = jax.checkpoint_policies
    kept = policies.dots_with_no_batch_dims_saveable if remat == "products" else None
    return nn.remat(layer, policy=kept, static_argnums=static)
