"""Dense layers whose products are plain matrix products."""

import functools
import math

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def flat_product(
    x: Float[Array, "..."],
    kernel: Float[Array, "..."],
    dimensions: tuple,
    precision: jax.lax.PrecisionLike = None,
    preferred_element_type: DTypeLike | None = None,
) -> Float[Array, "..."]:
    """`lax.dot_general` over the last axes of x and the first of the kernel, as matrices.

    The kernel's gradient sums over rows. Over several axes of them XLA's CPU compiler
    moves the gradient of x around before the product, and at each layer of a residual
    stream computes it anew from that of all later layers: a third of a training step of
    ViT-B.

    Args:
        x: [*n *c] rows.
        kernel: [*c *d].
        dimensions: of `lax.dot_general`; the axes c, no batch axes.
        precision: of the product.
        preferred_element_type: of the result.
    """
    num_axes = len(dimensions[0][0])
    rows, columns = x.shape[: x.ndim - num_axes], kernel.shape[num_axes:]
    width = math.prod(kernel.shape[:num_axes])
    product = jax.lax.dot_general(
        x.reshape(-1, width),
        kernel.reshape(width, -1),
        (((1,), (0,)), ((), ())),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    return product.reshape(*rows, *columns)


Dense = functools.partial(nn.DenseGeneral, dot_general=flat_product)
"""Flax's dense layer over the last axes."""
