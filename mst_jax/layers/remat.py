"""Rematerialization: which activations a layer stores for the backward pass."""

import functools

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Shaped

from mst_jax.name_choices import list_choices

REMAT_MODES = ("none", "products", "blocks")
"""What the backward pass recomputes: nothing; everything except the results of the
layer's matrix products (those inside attention are recomputed); the whole layer."""

SAVED_NAME = "saved_result"
"""Name of the results that a layer in a loop stores besides its matrix products."""


def name_saved_result(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Mark a result that costs more to compute again than to store.

    Args:
        x: Array, returned unchanged.
    """
    return checkpoint_name(x, SAVED_NAME)


def add_residual(
    stream: Shaped[Array, "..."], update: Shaped[Array, "..."]
) -> Shaped[Array, "..."]:
    """Add the update of a layer to its input, and store the sum and its gradient.

    Otherwise XLA recomputes the sums of several layers, with the gradients of their
    norms, wherever the gradient is read. On a CPU, a training step of a ViT-S without
    token selection then takes 1.2 times the time.

    Args:
        stream: Input of the layer.
        update: Output of the layer, of a shape that broadcasts to that of the input.
    """
    return jax.lax.optimization_barrier(stream + update)


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
    layer_class: type[nn.Module],
    remat: str,
    *,
    in_loop: bool = False,
    static_argnums: tuple[int, ...] = (),
) -> type[nn.Module]:
    """Return a layer class that stores fewer activations; parameter paths stay.

    The iterations of a loop store everything that the derivative reads, where the
    compiler of a program without loops stores the inputs of elementwise operations. In
    a loop, "none" therefore stores the matrix products and the results that
    `name_saved_result` marks. Attention that is written out is computed again.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv
    1604.06174.

    Args:
        layer_class: Linen module class.
        remat: Mode, one of `REMAT_MODES`.
        in_loop: Whether the layer is the body of a loop, see `layers.layer_loop`.
        static_argnums: Indices of the arguments of the layer's call that are not
            arrays, counted from 1.

    Returns:
        The class itself for "none" outside of loops, else a subclass with the same
        constructor.
    """
    if remat == "none" and not in_loop:
        return layer_class
    policies = jax.checkpoint_policies
    # Products of attention have batch dimensions; they are recomputed.
    save_products = policies.dots_with_no_batch_dims_saveable
    save_policy = {
        "none": policies.save_from_both_policies(
            save_products, policies.save_only_these_names(SAVED_NAME)
        ),
        "products": save_products,
        "blocks": None,
    }[remat]
    return nn.remat(
        layer_class,
        policy=save_policy,
        static_argnums=static_argnums,
        # The compiler cannot merge iterations of the forward and backward loop.
        prevent_cse=not in_loop,
    )
