"""Dense layers that compute a plain matrix product."""

import functools
import math

import flax.linen as nn
import jax
from jax.lax import DotDimensionNumbers
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def dot_general_as_matmul(
    inputs: Float[Array, "..."],
    kernel: Float[Array, "..."],
    dimension_numbers: DotDimensionNumbers,
    precision: jax.lax.PrecisionLike = None,
    preferred_element_type: DTypeLike | None = None,
) -> Float[Array, "..."]:
    """Compute `lax.dot_general` as the product of two matrices.

    The last axes of the inputs are contracted with the first axes of the kernel. The
    kernel's gradient sums over rows. Over several row axes, XLA's CPU compiler
    transposes the gradient of the inputs before the product and, at each layer of a
    residual stream, recomputes it from that of all later layers: a third of a training
    step of ViT-B.

    Args:
        inputs: [*n *c] rows to multiply.
        kernel: [*c *d] weights.
        dimension_numbers: Contracted axes c as `lax.dot_general` takes them, without
            batch axes.
        precision: Precision of the product.
        preferred_element_type: Dtype of the result.

    Returns:
        [*n *d] the product.
    """
    num_contracted = len(dimension_numbers[0][0])
    row_shape = inputs.shape[: inputs.ndim - num_contracted]
    column_shape = kernel.shape[num_contracted:]
    input_width = math.prod(kernel.shape[:num_contracted])
    flat_product = jax.lax.dot_general(
        inputs.reshape(-1, input_width),
        kernel.reshape(input_width, -1),
        (((1,), (0,)), ((), ())),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    return flat_product.reshape(*row_shape, *column_shape)


# Flax calls `dot_general` with the arguments of `lax.dot_general`, in the same order.
Dense = functools.partial(nn.DenseGeneral, dot_general=dot_general_as_matmul)
"""Flax's dense layer over the last axes, computed as a matrix product."""
