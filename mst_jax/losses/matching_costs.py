"""Matching costs: how badly the mask of each query fits each target."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

MaskCostFn = Callable[..., Float[Array, "q t"]]

# Smallest sum of weights that is divided by; smaller ones come from perfect masks.
MIN_WEIGHT_SUM = 1e-30


def bce_cost(
    logits: Float[Array, "q n"], targets: Bool[Array, "t n"], valid: Bool[Array, " n"]
) -> Float[Array, "q t"]:
    """Compute the mean cross-entropy of each query with each target.

    Args:
        logits: [q n] mask logits of the queries over n pixels.
        targets: [t n] target masks.
        valid: [n] False on pixels that do not count.

    Returns:
        [q t] mean over the pixels that count.
    """
    object_cost, background_cost = jax.nn.softplus(-logits), jax.nn.softplus(logits)
    return _mean_over_pixels(object_cost, background_cost, targets, valid)


def focal_cost(
    logits: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Float[Array, "q t"]:
    """Compute the mean focal loss of each query with each target.

    Args:
        logits: [q n] mask logits of the queries over n pixels.
        targets: [t n] target masks.
        valid: [n] False on pixels that do not count.
        gamma: Focal exponent.
        alpha: Weight of the pixels inside a target; the others have 1 - alpha.

    Returns:
        [q t] mean over the pixels that count.
    """

    def focal_term(true_logits: Array) -> Array:
        return jax.nn.sigmoid(-true_logits) ** gamma * jax.nn.softplus(-true_logits)

    object_cost = alpha * focal_term(logits)
    background_cost = (1.0 - alpha) * focal_term(-logits)
    return _mean_over_pixels(object_cost, background_cost, targets, valid)


def adaptive_focal_cost(
    logits: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
    *,
    gamma: float = 2.0,
    delta: float = 0.4,
    alpha: float = 1.0,
    epsilon: float = 0.5,
) -> Float[Array, "q t"]:
    """Compute the adaptive focal loss of whole masks, as the published matching does.

    With pt and ce the means of pt and of the cross-entropy over the n valid pixels, p the
    mean probability inside the target, T targets, and gamma_a = gamma + 1 - p:

        omega = T / ((1 + delta * gamma_a) * sum over the targets of (1 - pt)^gamma_a)
        cost  = epsilon * (omega * (1 - pt)^gamma_a * ce + alpha * ((1 - pt)^gamma_a + 1))

    Source: Lin et al., AdaptiveClick, as in the published program. Its last term is a
    typo for (1 - pt)^(gamma_a + 1), kept: the matching hardly ever depends on it.

    Args:
        logits: [q n] mask logits of the queries over n pixels.
        targets: [t n] target masks; empty ones are ignored.
        valid: [n] False on pixels that do not count.
        gamma: Minimum focal exponent.
        delta: How much a larger exponent lowers the first term.
        alpha: Weight of the second term.
        epsilon: Weight of the sum of both terms.

    Returns:
        [q t] cost of each query for each target.
    """
    object_mask = (targets & valid[None]).astype(jnp.float32)
    prob = jax.nn.sigmoid(logits)
    # 1. The exponent of each pair, from the mean probability inside the target.
    object_prob = _sum_over_targets(prob, object_mask)
    object_prob = object_prob / jnp.maximum(object_mask.sum(1), 1.0)[None]
    gamma_a = gamma + 1.0 - object_prob
    # 2. The focal weight of each pair, normalized over the targets that exist.
    mean_error = _mean_over_pixels(jax.nn.sigmoid(-logits), prob, targets, valid)
    focal_weight = mean_error**gamma_a
    target_exists = object_mask.any(1)
    weight_sum = (focal_weight * target_exists[None]).sum(1, keepdims=True)
    # A perfect mask has neither focal weight nor cross-entropy.
    relative_weight = target_exists.sum() * focal_weight
    relative_weight = relative_weight / jnp.maximum(weight_sum, MIN_WEIGHT_SUM)
    # 3. The weighted cross-entropy and the second term.
    first_term = relative_weight * bce_cost(logits, targets, valid)
    first_term = first_term / (1.0 + delta * gamma_a)
    return epsilon * (first_term + alpha * (focal_weight + 1.0))


def dice_cost(
    logits: Float[Array, "q n"], targets: Bool[Array, "t n"], valid: Bool[Array, " n"]
) -> Float[Array, "q t"]:
    """Compute the Dice loss of each query with each target.

    Args:
        logits: [q n] mask logits of the queries over n pixels.
        targets: [t n] target masks.
        valid: [n] False on pixels that do not count.

    Returns:
        [q t] one minus the soft overlap, from 0 to 1.
    """
    prob = jax.nn.sigmoid(logits) * valid[None]
    object_mask = (targets & valid[None]).astype(jnp.float32)
    area_sum = prob.sum(1)[:, None] + object_mask.sum(1)[None]
    overlap = _sum_over_targets(prob, object_mask)
    return 1.0 - (2.0 * overlap + 1.0) / (area_sum + 1.0)


MASK_COSTS: dict[str, MaskCostFn] = {
    "adaptive_focal": adaptive_focal_cost,
    "focal": focal_cost,
    "bce": bce_cost,
}


def _sum_over_targets(
    pixel_values: Float[Array, "q n"], masks: Float[Array, "t n"]
) -> Float[Array, "q t"]:
    """Sum the values of each query over the pixels of each mask."""
    # Full precision also on TPU and GPU, since the matching depends on the sums.
    return jnp.einsum(
        "qn,tn->qt", pixel_values, masks, precision=jax.lax.Precision.HIGHEST
    )


def _mean_over_pixels(
    object_values: Float[Array, "q n"],
    background_values: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
) -> Float[Array, "q t"]:
    """Average over the valid pixels the values of the class that each target has there."""
    object_mask = (targets & valid[None]).astype(jnp.float32)
    background_mask = (~targets & valid[None]).astype(jnp.float32)
    value_sum = _sum_over_targets(object_values, object_mask)
    value_sum = value_sum + _sum_over_targets(background_values, background_mask)
    return value_sum / jnp.maximum(valid.sum(), 1)
