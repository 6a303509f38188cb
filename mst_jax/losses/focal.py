"""Focal losses: cross-entropies that weigh wrong pixels more than right ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import (
    PixelAxes,
    compute_pixel_errors,
    focal_weight,
    normalized_focal_weight,
)


def focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss `(1 - pt)^gamma * (-log pt)` of each pixel.

    pt is the probability of the true class.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, Eq. 4 and 5.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        gamma: Focal exponent; 0 gives the cross-entropy.
        alpha: Weight of targets 1; targets 0 have 1 - alpha; None: no class weights.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    errors = compute_pixel_errors(logits, targets, where)
    weight = focal_weight(errors.neg_margin, gamma)
    loss = weight * jax.nn.softplus(errors.neg_margin)
    if alpha is not None:
        loss = jnp.where(errors.is_object, alpha, 1.0 - alpha) * loss
    # An ignored pixel has the negative margin 0 and so the loss log 2: remove it.
    return jnp.where(errors.is_counted, loss, 0.0)


def poly_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float = 1.0,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss plus its leading term `alpha * (1 - pt)^(gamma + 1)`.

    pt is the probability of the true class.

    Source: Leng et al., PolyLoss, ICLR 2022, Poly-1 of the focal loss.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        gamma: Focal exponent; 0 gives the cross-entropy as the first term.
        alpha: Weight of the added leading term; not a class weight.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    errors = compute_pixel_errors(logits, targets, where)
    leading_term = alpha * focal_weight(errors.neg_margin, gamma + 1.0)
    focal_term = focal_loss(logits, targets, gamma=gamma, where=where)
    return focal_term + jnp.where(errors.is_counted, leading_term, 0.0)


def normalized_focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float = 0.5,
    axis: PixelAxes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss whose weights sum to the number of pixels of the example.

    With p = sigmoid(logits), pt = p for targets 1 and 1 - p for targets 0, and N pixels:
    `alpha_t * N / sum((1 - pt)^gamma) * (1 - pt)^gamma * (-log pt)`. The focal loss
    vanishes as the mask improves; this loss does not, so that the border of the mask
    still gets a gradient.

    Source: Sofiiuk et al., AdaptIS, ICCV 2019, Eq. 3 and 4; no gradient flows through
    the normalizer, as in the published programs.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        gamma: Focal exponent; 0 gives the cross-entropy.
        alpha: Weight of targets 1; targets 0 have 1 - alpha. It does not enter the
            normalizer.
        axis: Axes over which the pixels of one example lie.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count. Take the mean over `axis` with
        the same `where`.
    """
    errors = compute_pixel_errors(logits, targets, where)
    weight = jnp.where(errors.is_object, alpha, 1.0 - alpha)
    # Ignored pixels need no mask here: their normalized weight is 0.
    weight = weight * normalized_focal_weight(errors, gamma, axis=axis)
    return weight * jax.nn.softplus(errors.neg_margin)
