"""Matching of queries and targets at the minimum cost of class and mask."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.losses.matching_costs import MASK_COSTS, dice_cost
from mst_jax.losses.pixel_errors import limit_logits

# Costs [q t] -> pairs (query indices, target indices).
AssignFn = Callable[[Float[Array, "q t"]], tuple[Int[Array, " t"], Int[Array, " t"]]]


def matching_cost(
    class_logits: Float[Array, "q 2"],
    mask_logits: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
    *,
    mask_cost: str = "adaptive_focal",
    class_cost_weight: float = 2.0,
    mask_cost_weight: float = 5.0,
    dice_cost_weight: float = 5.0,
) -> Float[Array, "q t"]:
    """Compute the cost of matching each query with each target.

    Source: Cheng et al., Per-Pixel Classification is Not All You Need, NeurIPS 2021,
    Section 3.2; weights as in the published AdaptiveClick.

    Args:
        class_logits: [q 2] class logits of the queries: not the clicked object, the
            clicked object.
        mask_logits: [q n] mask logits of the queries over n pixels.
        targets: [t n] target masks.
        valid: [n] False on pixels that do not count.
        mask_cost: Name of the mask cost in `matching_costs.MASK_COSTS`.
        class_cost_weight: Weight of the class cost (the negative probability of the
            class "clicked object").
        mask_cost_weight: Weight of the mask cost.
        dice_cost_weight: Weight of the Dice cost.

    Returns:
        [q t] weighted sum of the three costs.

    Raises:
        ValueError: Unknown mask cost.
    """
    if mask_cost not in MASK_COSTS:
        raise ValueError(
            f"mask_cost is {mask_cost!r}, expected one of {', '.join(MASK_COSTS)}"
        )
    # The products of infinite logits and empty masks would be NaN.
    float32_logits = limit_logits(mask_logits.astype(jnp.float32))
    cost = mask_cost_weight * MASK_COSTS[mask_cost](float32_logits, targets, valid)
    cost = cost + dice_cost_weight * dice_cost(float32_logits, targets, valid)
    class_prob = jax.nn.softmax(limit_logits(class_logits.astype(jnp.float32)))
    return cost - class_cost_weight * class_prob[:, 1:]


def match_queries(
    class_logits: Float[Array, "q 2"],
    mask_logits: Float[Array, "q h w"],
    targets: Bool[Array, "t h w"],
    valid: Bool[Array, "h w"],
    *,
    assign_fn: AssignFn | None = None,
    **cost_options: float | str,
) -> tuple[Int[Array, " t"], Bool[Array, " t"]]:
    """Match each target of one example with its own query, at the minimum total cost.

    Args:
        class_logits: [q 2] class logits of the queries: not the clicked object, the
            clicked object.
        mask_logits: [q h w] mask logits of the queries.
        targets: [t h w] target masks, padded with empty ones.
        valid: [h w] False on cells that do not count.
        assign_fn: Assignment from costs [q t] to pairs (queries, targets), such as
            `optax.assignment.hungarian_algorithm`. None: the cheapest query, which is the
            same for a single target.
        **cost_options: Options of `matching_cost`.

    Returns:
        [t] index of the query of each target, and [t] False where a target has no valid
        cell and the index means nothing. No gradient flows through either.

    Raises:
        ValueError: Several targets without `assign_fn`, or more targets than queries.
    """
    num_queries, num_targets = len(mask_logits), len(targets)
    if num_targets > num_queries:
        raise ValueError(
            f"{num_targets} targets do not fit {num_queries} queries; "
            "give the model more queries or fewer targets per example"
        )
    if num_targets > 1 and assign_fn is None:
        raise ValueError(
            f"{num_targets} targets per example, but no way to assign them; give "
            "assign_fn=optax.assignment.hungarian_algorithm"
        )
    # 1. The cost of every pair, over the cells in one axis.
    flat_arrays = (
        array.reshape(*array.shape[:-2], -1) for array in (mask_logits, targets, valid)
    )
    cost = matching_cost(class_logits, *flat_arrays, **cost_options)
    # 2. Empty targets have zero cost, so they do not affect the others.
    target_exists = (targets & valid[None]).any((1, 2))
    cost = jax.lax.stop_gradient(jnp.where(target_exists[None], cost, 0.0))
    # The Hungarian search would not end on NaN, which a diverged run can hold.
    cost = jnp.nan_to_num(cost)
    # 3. The assignment.
    if assign_fn is None:
        return cost.argmin(0), target_exists
    query_index, target_index = assign_fn(cost)
    query_of_target = jnp.zeros(num_targets, query_index.dtype)
    return query_of_target.at[target_index].set(query_index), target_exists
