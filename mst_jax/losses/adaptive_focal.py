"""Adaptive focal loss: how hard it looks follows how good the mask already is."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import Axes, Pixels, fade, normalized_fade, read_pixels


def adaptive_focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    delta: float = 0.4,
    alpha: float = 1.0,
    epsilon: float = 0.5,
    ada: bool = True,
    agr: bool = True,
    axis: Axes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Focal loss with an exponent and a weight of its own for every example (AFL).

    With pt the probability of the right side and N pixels of the example:

        gamma_a = gamma + 1 - mean of pt over the object      (ada; no object: gamma + 1)
        omega   = N / ((1 + delta * gamma_a) * sum((1 - pt)^gamma_a))               (agr)
        loss    = omega * (1 - pt)^gamma_a * (-log pt) + alpha * (1 - pt)^(gamma_a + 1)

    times `epsilon` for targets 1 and `1 - epsilon` for targets 0; gamma_a and omega are
    without gradient. Hard examples get the larger exponent; omega gives their few hard
    pixels back the gradient that many easy ones would swamp.

    With `epsilon=-1`: both switches off is the poly loss, `alpha=0` too the focal loss,
    `gamma=0` as well the cross-entropy.

    Source: Lin et al., AdaptiveClick, TNNLS 2024 (arXiv 2305.04276), as in the published
    program.
    Departure: omega is finite, and the loss right, also where every pixel is right beyond
    all doubt and the sum of (1 - pt)^gamma_a is 0 in float32.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        gamma: least exponent, how much the right pixels are faded.
        delta: how much a larger exponent lowers the first term.
        alpha: weight of the second term, the poly loss's.
        epsilon: weight of targets 1, 0 to 1; negative = no weights.
        ada: adapt the exponent; False: gamma_a = gamma.
        agr: adapt the gradient's size; False: omega = 1.
        axis: the axes over which an example's pixels lie.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count. Take the mean over `axis` with
        the same `where`.
    """
    pixels = read_pixels(logits, targets, where)
    gamma_a = _adapted_gamma(pixels, gamma, axis=axis) if ada else gamma
    if agr:
        weight = normalized_fade(pixels, gamma_a, axis=axis) / (1.0 + delta * gamma_a)
    else:
        weight = fade(pixels.wrong, gamma_a)
    loss = weight * jax.nn.softplus(pixels.wrong)
    loss = loss + alpha * fade(pixels.wrong, gamma_a + 1.0)
    if epsilon >= 0:
        loss = jnp.where(pixels.is_object, epsilon, 1.0 - epsilon) * loss
    return jnp.where(pixels.counts, loss, 0.0)


def _adapted_gamma(
    pixels: Pixels, gamma: float, *, axis: Axes
) -> Float[Array, "*examples"]:
    """`gamma` for a perfect object, up to `gamma + 1` for a missed one; no gradient."""
    inside = pixels.counts & pixels.is_object
    right = jnp.where(inside, jax.nn.sigmoid(-pixels.wrong), 0.0)
    num_inside = jnp.maximum(inside.sum(axis, keepdims=True), 1)
    mean = right.sum(axis, keepdims=True) / num_inside
    return jax.lax.stop_gradient(gamma + 1.0 - mean)
