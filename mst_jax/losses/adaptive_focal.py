"""Adaptive focal loss (AFL): a focal loss whose exponent follows the mask's quality."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import (
    PixelAxes,
    PixelErrors,
    compute_pixel_errors,
    focal_weight,
    normalized_focal_weight,
)


def adaptive_focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    delta: float = 0.4,
    alpha: float = 1.0,
    epsilon: float = 0.5,
    adaptive_gamma: bool = True,
    gradient_correction: bool = True,
    axis: PixelAxes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss with an exponent and a weight for each example (AFL).

    With pt the probability of the true class and N pixels of the example:

        gamma_a = gamma + 1 - mean of pt over the object      (ADA; no object: gamma + 1)
        omega   = N / ((1 + delta * gamma_a) * sum((1 - pt)^gamma_a))               (AGR)
        loss    = omega * (1 - pt)^gamma_a * (-log pt) + alpha * (1 - pt)^(gamma_a + 1)

    times `epsilon` for targets 1 and `1 - epsilon` for targets 0. No gradient flows
    through gamma_a and omega. Hard examples get the larger exponent; omega restores the
    gradient of their few hard pixels, which many easy ones would outweigh.

    The paper's ADA is the option `adaptive_gamma`, its AGR is `gradient_correction`.
    Take `epsilon=-1`: with both off it is the poly loss. With `alpha=0` in addition, it
    is the focal loss. With `gamma=0` as well, it is the cross-entropy.

    Source: Lin et al., AdaptiveClick, TNNLS 2024 (arXiv 2305.04276), as in the published
    program.
    Departure: omega is finite and the loss exact also if every (1 - pt)^gamma_a
    underflows to 0 in float32.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        gamma: Minimum focal exponent; the larger, the smaller the weight of pixels that
            are already right.
        delta: Factor of gamma_a in the denominator of omega.
        alpha: Weight of the second term, the poly-loss term.
        epsilon: Weight of targets 1, from 0 to 1; negative: no class weights.
        adaptive_gamma: True: adapt the exponent; False: gamma_a = gamma.
        gradient_correction: True: rescale the gradient; False: omega = 1.
        axis: Axes over which the pixels of one example lie.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count. Take the mean over `axis` with
        the same `where`.
    """
    errors = compute_pixel_errors(logits, targets, where)
    # 1. The exponent of each example, gamma_a.
    gamma_a = _adaptive_gamma(errors, gamma, axis=axis) if adaptive_gamma else gamma
    # 2. The first term: omega and the focal weight times the cross-entropy.
    if gradient_correction:
        weight = normalized_focal_weight(errors, gamma_a, axis=axis)
        weight = weight / (1.0 + delta * gamma_a)
    else:
        weight = focal_weight(errors.neg_margin, gamma_a)
    loss = weight * jax.nn.softplus(errors.neg_margin)
    # 3. The second term, with gradient also where the focal weight vanishes.
    loss = loss + alpha * focal_weight(errors.neg_margin, gamma_a + 1.0)
    if epsilon >= 0:
        loss = jnp.where(errors.is_object, epsilon, 1.0 - epsilon) * loss
    return jnp.where(errors.is_counted, loss, 0.0)


def _adaptive_gamma(
    errors: PixelErrors, gamma: float, *, axis: PixelAxes
) -> Float[Array, "*examples"]:
    """Compute gamma_a: `gamma` for a perfect object, up to `gamma + 1` for a missed one.

    No gradient flows through the result.
    """
    in_object = errors.is_counted & errors.is_object
    true_prob = jnp.where(in_object, jax.nn.sigmoid(-errors.neg_margin), 0.0)
    # At least 1, so that an example without an object has the mean 0.
    num_object_pixels = jnp.maximum(in_object.sum(axis, keepdims=True), 1)
    mean_prob = true_prob.sum(axis, keepdims=True) / num_object_pixels
    return jax.lax.stop_gradient(gamma + 1.0 - mean_prob)
