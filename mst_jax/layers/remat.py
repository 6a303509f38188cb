"""Rematerialization: which activations a layer stores for the backward pass."""

import functools

import flax.linen as nn
import jax

from mst_jax.name_choices import list_choices

REMAT_MODES = ("none", "products", "blocks")
"""What the backward pass recomputes: nothing; everything except the results of the
layer's matrix products (those inside attention are recomputed); the whole layer."""


def check_remat(remat: str) -> None:
    """Check the name of a rematerialization mode.

    Args:
        remat: Name that should be in `REMAT_MODES`.

    Raises:
        ValueError: The name is unknown.
    """
    if remat not in REMAT_MODES:
        raise ValueError(
            f"model remat is {remat!r}; {list_choices(remat, REMAT_MODES)}"
        )


# Cached: equal arguments return the same class, so that compiled programs are reused.
@functools.cache
def with_remat(
    layer_class: type[nn.Module], remat: str, *, static_argnums: tuple[int, ...] = ()
) -> type[nn.Module]:
    """Return a layer class that stores fewer activations; parameter paths stay.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv
    1604.06174.

    Args:
        layer_class: Linen module class.
        remat: Mode, one of `REMAT_MODES`.
        static_argnums: Indices of the arguments of the layer's call that are not
            arrays, counted from 1.

    Returns:
        The class itself for "none", else a subclass with the same constructor.
    """
    if remat == "none":
        return layer_class
    save_policy = None
    if remat == "products":
        # Products of attention have batch dimensions; they are recomputed.
        save_policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return nn.remat(layer_class, policy=save_policy, static_argnums=static_argnums)
