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
    counts = jnp.ones_like(x, bool) if where is None else where
    # 1 - pt = sigmoid of the logit for the wrong side. The weights are taken relative to
    # the largest one, in logs: where every pixel is right beyond all doubt, (1 - pt)^gamma
    # itself is 0 and its normaliser infinite.
    wrong_side = jnp.where(y > 0, -x, x)
    log_fade = jnp.where(counts, gamma * jax.nn.log_sigmoid(wrong_side), -jnp.inf)
    largest = jax.lax.stop_gradient(log_fade.max(axis, keepdims=True))
    fade = jnp.exp(log_fade - jnp.where(jnp.isfinite(largest), largest, 0.0))
    faded = jax.lax.stop_gradient(fade.sum(axis, keepdims=True))
    num_pixels = counts.sum(axis, keepdims=True)
    weight = (
        jnp.where(y > 0, alpha, 1.0 - alpha) * num_pixels / jnp.maximum(faded, 1e-30)
    )
    return jnp.where(counts, weight * fade * jax.nn.softplus(wrong_side), 0.0)
