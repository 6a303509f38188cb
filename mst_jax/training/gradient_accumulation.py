"""Gradient accumulation: the loss and gradient of a batch, microbatch by microbatch.

A large batch is processed in the memory of a small one. The update is that of the whole
batch, up to rounding.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, Int

from mst_jax.collectives import num_batch_shards, sum_over_shards
from mst_jax.geometry.iou import iou
from mst_jax.losses.total_loss import LossConfig, loss_counts, total_loss
from mst_jax.structs import Batch, Outputs
from mst_jax.training.optimizer import stop_frozen_gradients

T = TypeVar("T")

# (params, index of the microbatch, *inputs such as image, clicks, prev_mask) -> outputs
ForwardFn = Callable[..., Outputs]


def split_microbatches(tree: T, num_microbatches: int) -> T:
    """Split the examples of a batch into microbatches.

    Microbatch i has the examples i, i + n, i + 2 n ... of n microbatches. So it has its
    share of the examples of each device, and no example moves between devices.

    Args:
        tree: Tree of [b ...] arrays.
        num_microbatches: Number of microbatches n, a divisor of b.

    Returns:
        Tree of [n b/n ...] arrays.
    """
    return jax.tree.map(
        lambda x: rearrange(x, "(m a) ... -> a m ...", a=num_microbatches), tree
    )


def join_microbatches(tree: T) -> T:
    """Join microbatches to a batch, the inverse of `split_microbatches`."""
    return jax.tree.map(lambda x: rearrange(x, "a m ... -> (m a) ..."), tree)


def map_microbatches(
    function: Callable[..., T], num_microbatches: int, *trees: Any
) -> T:
    """Apply a function to one microbatch after the other.

    Args:
        function: Function of trees [m ...] that returns a tree of [m ...] arrays, one
            entry for each example.
        num_microbatches: Number of microbatches, a divisor of b.
        *trees: Trees of [b ...] arrays.

    Returns:
        Tree of [b ...] arrays, in the order of the examples.
    """
    if num_microbatches == 1:
        return function(*trees)
    microbatches = split_microbatches(trees, num_microbatches)
    return join_microbatches(jax.lax.map(lambda args: function(*args), microbatches))


def sum_microbatches(
    function: Callable[..., T], num_microbatches: int, *trees: Any
) -> T:
    """Sum the results of a function over the microbatches.

    Args:
        function: Function of the index of the microbatch and of trees [m ...] that
            returns a tree of arrays.
        num_microbatches: Number of microbatches, a divisor of b.
        *trees: Trees of [b ...] arrays.

    Returns:
        Tree of arrays, the sum of the function's results.
    """
    if num_microbatches == 1:
        return function(jnp.int32(0), *trees)

    # A scan, so that the memory is that of one microbatch.
    def add_microbatch(
        running_sum: T, indexed_microbatch: tuple[Array, tuple]
    ) -> tuple[T, None]:
        index, microbatch = indexed_microbatch
        return jax.tree.map(jnp.add, running_sum, function(index, *microbatch)), None

    microbatches = split_microbatches(trees, num_microbatches)
    # The shapes of the sum are those of the first microbatch; nothing is computed for them.
    first_microbatch = jax.tree.map(lambda x: x[0], microbatches)
    sum_shapes = jax.eval_shape(function, jnp.int32(0), *first_microbatch)
    zero_sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), sum_shapes)
    indexed_microbatch = (jnp.arange(num_microbatches), microbatches)
    return jax.lax.scan(add_microbatch, zero_sums, indexed_microbatch)[0]


def loss_and_gradient(
    forward: ForwardFn,
    params: dict[str, Any],
    batch: Batch,
    inputs: tuple[Any, ...],
    *,
    losses: LossConfig,
    grad_accum_steps: int = 1,
    frozen: Sequence[str] = (),
) -> tuple[tuple[Float[Array, ""], dict[str, Float[Array, ""]]], dict[str, Any]]:
    """Compute the loss of a batch and its gradient.

    With several microbatches the result is that of the whole batch, up to rounding. A
    loss is a sum of values divided by a sum of counts, so a mean of the microbatches'
    losses would give too much weight to a microbatch with few counts. Hence counts are
    summed over all microbatches first, in a forward pass of which the compiler drops
    everything that no count depends on: all of it unless tokens or queries are counted.

    Args:
        forward: Forward pass, see `ForwardFn`.
        params: Tree of the model's parameters.
        batch: [b] examples with their targets.
        inputs: [b] further arguments of `forward`.
        losses: Name -> weight, or weight and options; see `total_loss`.
        grad_accum_steps: Number of microbatches, a divisor of b.
        frozen: Patterns of the paths of parameters whose gradient is zero.

    Returns:
        (loss, its terms and the mean "iou"), gradient.
    """
    num_examples = num_batch_shards() * batch.target.shape[0]

    def count_terms(index: Int[Array, ""], microbatch: Batch, inputs: tuple) -> dict:
        outputs = forward(params, index, *inputs)
        return loss_counts(outputs, microbatch, losses=losses)

    # 1. What the terms of the loss are divided by: counts over the whole batch.
    counts = None
    if grad_accum_steps > 1:
        counts = sum_microbatches(count_terms, grad_accum_steps, batch, inputs)
        counts = sum_over_shards(counts)

    def loss_of(
        params: dict[str, Any], index: Int[Array, ""], microbatch: Batch, inputs: tuple
    ) -> tuple:
        outputs = forward(stop_frozen_gradients(params, frozen), index, *inputs)
        loss, terms = total_loss(outputs, microbatch, losses=losses, counts=counts)
        example_ious = jax.vmap(iou)(
            outputs.logits > 0, microbatch.target, microbatch.valid
        )
        # Divided by the examples of the batch: the sum over microbatches is the mean.
        return loss, terms | {"iou": example_ious.sum() / num_examples}

    def differentiate_microbatch(*args: Any) -> tuple:
        return jax.value_and_grad(loss_of, has_aux=True)(params, *args)

    # 2. Losses and gradients of microbatches and devices add up to those of the batch.
    sums = sum_microbatches(differentiate_microbatch, grad_accum_steps, batch, inputs)
    return sum_over_shards(sums)
