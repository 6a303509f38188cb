"""What it costs to let the mask of a query answer for a target, for every pair."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Cost = Callable[..., Float[Array, "q t"]]


def bce_cost(
    logits: Float[Array, "q n"], targets: Bool[Array, "t n"], valid: Bool[Array, " n"]
) -> Float[Array, "q t"]:
    """Mean cross-entropy of each query with each target over the valid pixels.

    Args:
        logits: [q n] masks of the queries over n pixels.
        targets: [t n] wanted masks.
        valid: [n] False on pixels that do not count.
    """
    return _mean(jax.nn.softplus(-logits), jax.nn.softplus(logits), targets, valid)


def focal_cost(
    logits: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Float[Array, "q t"]:
    """Mean focal loss of each query with each target; pixels of targets weigh `alpha`."""

    def focal(x: Array) -> Array:
        return jax.nn.sigmoid(-x) ** gamma * jax.nn.softplus(-x)

    inside, outside = alpha * focal(logits), (1.0 - alpha) * focal(-logits)
    return _mean(inside, outside, targets, valid)


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
    """Adaptive focal loss of whole masks, as the published matching has it.

    With pt and ce the means of pt and of the cross-entropy over the n valid pixels, p the
    mean probability inside the target, T targets, and gamma_a = gamma + 1 - p:

        omega = T / ((1 + delta * gamma_a) * sum over the targets of (1 - pt)^gamma_a)
        cost  = epsilon * (omega * (1 - pt)^gamma_a * ce + alpha * ((1 - pt)^gamma_a + 1))

    Source: Lin et al., AdaptiveClick, as in the published program. Its last term is a
    slip for (1 - pt)^(gamma_a + 1), kept: the choice hardly ever depends on it.

    Args:
        logits: [q n] masks of the queries over n pixels.
        targets: [t n] wanted masks; empty ones are no targets.
        valid: [n] False on pixels that do not count.
        gamma: least exponent.
        delta: how much a larger exponent lowers the first term.
        alpha: weight of the second term.
        epsilon: weight of the whole.
    """
    ones = (targets & valid[None]).astype(jnp.float32)
    prob = jax.nn.sigmoid(logits)
    p = _product(prob, ones) / jnp.maximum(ones.sum(1), 1.0)[None]
    gamma_a = gamma + 1.0 - p
    wrong = _mean(jax.nn.sigmoid(-logits), prob, targets, valid)
    fade = wrong**gamma_a
    exists = ones.any(1)
    total = (fade * exists[None]).sum(1, keepdims=True)
    # A perfect mask has neither fade nor cross-entropy.
    share = exists.sum() * fade / jnp.maximum(total, 1e-30)
    first = share * bce_cost(logits, targets, valid) / (1.0 + delta * gamma_a)
    return epsilon * (first + alpha * (fade + 1.0))


def dice_cost(
    logits: Float[Array, "q n"], targets: Bool[Array, "t n"], valid: Bool[Array, " n"]
) -> Float[Array, "q t"]:
    """One minus the soft overlap of each query with each target.

    Args:
        logits: [q n] masks of the queries over n pixels.
        targets: [t n] wanted masks.
        valid: [n] False on pixels that do not count.
    """
    prob = jax.nn.sigmoid(logits) * valid[None]
    ones = (targets & valid[None]).astype(jnp.float32)
    both = prob.sum(1)[:, None] + ones.sum(1)[None]
    return 1.0 - (2.0 * _product(prob, ones) + 1.0) / (both + 1.0)


MASK_COSTS: dict[str, Cost] = {
    "adaptive_focal": adaptive_focal_cost,
    "focal": focal_cost,
    "bce": bce_cost,
}


def _product(
    x: Float[Array, "q n"], targets: Float[Array, "t n"]
) -> Float[Array, "q t"]:
    """Sums x over each target; in full precision, since a choice depends on it."""
    return jnp.einsum("qn,tn->qt", x, targets, precision=jax.lax.Precision.HIGHEST)


def _mean(
    inside: Float[Array, "q n"],
    outside: Float[Array, "q n"],
    targets: Bool[Array, "t n"],
    valid: Bool[Array, " n"],
) -> Float[Array, "q t"]:
    """Mean over the valid pixels of `inside` in a target and `outside` elsewhere."""
    ones = (targets & valid[None]).astype(jnp.float32)
    zeros = (~targets & valid[None]).astype(jnp.float32)
    total = _product(inside, ones) + _product(outside, zeros)
    return total / jnp.maximum(valid.sum(), 1)
