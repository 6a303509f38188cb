"""Dense layers that compute a plain matrix product."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.lax import DotDimensionNumbers
from jax.typing import DTypeLike
from jaxtyping import Array, BFloat16, Float

from mst_jax.compute_dtype import has_fast_bfloat16


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
    rows, flat_kernel = inputs.reshape(-1, input_width), kernel.reshape(input_width, -1)
    has_defaults = precision is None and preferred_element_type is None
    is_bfloat16 = rows.dtype == flat_kernel.dtype == jnp.bfloat16
    if has_defaults and is_bfloat16 and has_fast_bfloat16():
        flat_product = bfloat16_product(rows, flat_kernel)
    else:
        flat_product = jax.lax.dot_general(
            rows,
            flat_kernel,
            (((1,), (0,)), ((), ())),
            precision=precision,
            preferred_element_type=preferred_element_type,
        )
    return flat_product.reshape(*row_shape, *column_shape)


@jax.custom_vjp
def bfloat16_product(
    rows: BFloat16[Array, "n c"], kernel: BFloat16[Array, "c d"]
) -> BFloat16[Array, "n d"]:
    """Multiply two matrices, with a kernel gradient that is fast on CPUs with AMX.

    XLA's CPU compiler has no fast form of a bfloat16 product that sums over the rows of
    both operands. It has one for a transposed copy, which it does not undo if the copy
    is made of two halves: in a trial with AMX on 3,200 rows, 4 to 6 times as fast.

    Args:
        rows: [n c] inputs.
        kernel: [c d] weights.
    """
    return rows @ kernel


def _forward_and_saved(rows: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return the product, and what its gradients need."""
    return rows @ kernel, (rows, kernel)


def _gradients(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Return the gradients of the rows and of the kernel."""
    rows, kernel = saved

    def multiply_transposed_copy(rows: Array, gradient: Array) -> Array:
        middle = len(rows) // 2
        halves = rows[:middle].T, rows[middle:].T
        return jnp.concatenate(halves, axis=1) @ gradient

    kernel_gradient = jax.lax.platform_dependent(
        rows,
        gradient,
        cpu=multiply_transposed_copy,
        default=lambda rows, gradient: rows.T @ gradient,
    )
    return gradient @ kernel.T, kernel_gradient


bfloat16_product.defvjp(_forward_and_saved, _gradients)

# Flax calls `dot_general` with the arguments of `lax.dot_general`, in the same order.
Dense = functools.partial(nn.DenseGeneral, dot_general=dot_general_as_matmul)
"""Flax's dense layer over the last axes, computed as a matrix product."""
