"""Losses that look hardest at the pixels that are most wrong."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import Axes, fade, normalized_fade, read_pixels


def focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Cross-entropy that fades where a pixel is right: `(1 - pt)^gamma * (-log pt)`.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, Eq. 4 and 5.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        gamma: how much the right pixels are faded, 0 = not.
        alpha: weight of targets 1; targets 0 have 1 - alpha; None = no weights.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    pixels = read_pixels(logits, targets, where)
    loss = fade(pixels.wrong, gamma) * jax.nn.softplus(pixels.wrong)
    if alpha is not None:
        loss = jnp.where(pixels.is_object, alpha, 1.0 - alpha) * loss
    return jnp.where(pixels.counts, loss, 0.0)


def poly_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float = 1.0,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Focal loss plus `alpha * (1 - pt)^(gamma + 1)`, more of its leading term.

    Source: Leng et al., PolyLoss, ICLR 2022, Poly-1 of the focal loss.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        gamma: how much the right pixels are faded, 0 = not.
        alpha: how much of the leading term is added; no weight of a class.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    pixels = read_pixels(logits, targets, where)
    more = alpha * fade(pixels.wrong, gamma + 1.0)
    focal = focal_loss(logits, targets, gamma=gamma, where=where)
    return focal + jnp.where(pixels.counts, more, 0.0)


def normalized_focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float = 0.5,
    axis: Axes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Focal loss whose weights sum to the number of pixels of the example.

    With p = sigmoid(logits), pt = p for targets 1 and 1 - p for targets 0, and N pixels:
    `alpha_t * N / sum((1 - pt)^gamma) * (1 - pt)^gamma * (-log pt)`. The focal loss fades
    as the mask gets better; this one does not, so that learning goes on at the border.

    Source: Sofiiuk et al., AdaptIS, ICCV 2019, Eq. 3 and 4; the normaliser is without
    gradient, as in the published programs.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        gamma: how much the right pixels are faded, 0 = not.
        alpha: weight of targets 1; targets 0 have 1 - alpha; outside the normaliser.
        axis: the axes over which an example's pixels lie.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count. Take the mean over `axis` with
        the same `where`.
    """
    pixels = read_pixels(logits, targets, where)
    weight = jnp.where(pixels.is_object, alpha, 1.0 - alpha)
    weight = weight * normalized_fade(pixels, gamma, axis=axis)
    return weight * jax.nn.softplus(pixels.wrong)
