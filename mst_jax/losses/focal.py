"""Losses that look hardest at the pixels that are most wrong."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num


def normalized_focal_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    gamma: float = 2.0,
    alpha: float = 0.5,
    axis: int | tuple[int, ...] = -1,
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
        The loss of each pixel, float32, 0 where it does not count. Take the mean over
        `axis` with the same `where`.
    """
    x = logits.astype(jnp.float32)
    y = targets.astype(jnp.float32)
    counts = jnp.ones_like(x) if where is None else where.astype(jnp.float32)
    # 1 - pt = sigmoid of the logit for the wrong side; both stay exact at any logit.
    wrong_side = jnp.where(y > 0, -x, x)
    cross_entropy = jax.nn.softplus(wrong_side)
    fade = jax.nn.sigmoid(wrong_side) ** gamma * counts
    faded = fade.sum(axis, keepdims=True)
    num_pixels = counts.sum(axis, keepdims=True)
    scale = num_pixels / jnp.maximum(faded, jnp.finfo(jnp.float32).tiny)
    weight = jnp.where(y > 0, alpha, 1.0 - alpha) * jax.lax.stop_gradient(scale)
    return weight * fade * cross_entropy
