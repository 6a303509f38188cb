"""Which query answers for which target: the cheapest, by class and by mask."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mst_jax.losses.matching_costs import MASK_COSTS, dice_cost

Assign = Callable[[Float[Array, "q t"]], tuple[Int[Array, " t"], Int[Array, " t"]]]


def matching_cost(
    class_logits: Float[Array, "q 2"],
    mask_logits: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
    *,
    match_by: str = "adaptive_focal",
    match_class: float = 2.0,
    match_mask: float = 5.0,
    match_dice: float = 5.0,
) -> Float[Array, "q t"]:
    """What it would cost to let each query answer for each target.

    Source: Cheng et al., Per-Pixel Classification is Not All You Need, NeurIPS 2021,
    Section 3.2; weights as in the published AdaptiveClick.

    Args:
        class_logits: [q 2] no click, click.
        mask_logits: [q n] over n pixels.
        targets: [t n] wanted masks.
        valid: [n] False on pixels that do not count.
        match_by: the mask cost, a name in `costs.MASK_COSTS`.
        match_class: weight of minus the probability of class 1.
        match_mask: weight of the mask cost.
        match_dice: weight of the dice cost.

    Raises:
        ValueError: no such cost.
    """
    if match_by not in MASK_COSTS:
        raise ValueError(
            f"match_by is {match_by!r}, expected one of {', '.join(MASK_COSTS)}"
        )
    logits = mask_logits.astype(jnp.float32)
    cost = match_mask * MASK_COSTS[match_by](logits, targets, valid)
    cost = cost + match_dice * dice_cost(logits, targets, valid)
    prob = jax.nn.softmax(class_logits.astype(jnp.float32))
    return cost - match_class * prob[:, 1:]


def match_queries(
    class_logits: Float[Array, "q 2"],
    mask_logits: Float[Array, "q h w"],
    targets: Bool[Array, "t h w"],
    valid: Bool[Array, "h w"],
    *,
    assign: Assign | None = None,
    **options: float | str,
) -> tuple[Int[Array, " t"], Bool[Array, " t"]]:
    """Gives each target of one example a query of its own, at the least cost in all.

    Args:
        class_logits: [q 2] no click, click.
        mask_logits: [q h w] before the sigmoid.
        targets: [t h w] wanted masks; fill up with empty ones.
        valid: [h w] False on cells that do not count.
        assign: cost [q t] -> pairs (queries, targets), such as
            `optax.assignment.hungarian_algorithm`; None: the cheapest query, which is the
            same for a single target.
        **options: see `matching_cost`.

    Returns:
        [t] the query of each target, and [t] False where a target has no valid cell and
        the query means nothing. No gradient flows through either.

    Raises:
        ValueError: several targets without `assign`, or more targets than queries.
    """
    num_queries, num_targets = len(mask_logits), len(targets)
    if num_targets > num_queries:
        raise ValueError(
            f"{num_targets} targets do not fit {num_queries} queries; "
            "give the model more queries or fewer targets an example"
        )
    if num_targets > 1 and assign is None:
        raise ValueError(
            f"{num_targets} targets an example, but no way to assign them; give "
            "assign=optax.assignment.hungarian_algorithm"
        )
    flat = (x.reshape(*x.shape[:-2], -1) for x in (mask_logits, targets, valid))
    cost = matching_cost(class_logits, *flat, **options)
    exists = (targets & valid[None]).any((1, 2))
    # What is left over goes to targets that do not exist. A run that broke must not hang
    # the search either, so that the cost is a number whatever the logits are.
    cost = jnp.nan_to_num(jax.lax.stop_gradient(jnp.where(exists[None], cost, 0.0)))
    if assign is None:
        return cost.argmin(0), exists
    queries, numbers = assign(cost)
    return jnp.zeros(num_targets, queries.dtype).at[numbers].set(queries), exists
