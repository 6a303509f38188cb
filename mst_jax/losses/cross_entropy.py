"""The cross-entropy of each pixel, plain and with weights for the two classes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import Axes, read_pixels


def binary_cross_entropy_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """-log pt of each pixel (BCE), pt the probability of the right side.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    pixels = read_pixels(logits, targets, where)
    return jnp.where(pixels.counts, jax.nn.softplus(pixels.wrong), 0.0)


def weighted_cross_entropy_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    object_weight: float = 2.0,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Cross-entropy whose targets 1 weigh `object_weight`, targets 0 weigh 1 (WBCE).

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        object_weight: above 1 against missed objects, below 1 against false alarms.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    loss = binary_cross_entropy_loss(logits, targets, where=where)
    return jnp.where(jnp.asarray(targets) > 0, object_weight, 1.0) * loss


def balanced_cross_entropy_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    axis: Axes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Cross-entropy in which both classes of an example weigh the same in sum.

    Targets 1 weigh the share of targets 0, and the reverse; an example of one class
    alone has no loss.

    Source: Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015, Eq. 2.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        axis: the axes over which an example's pixels lie.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    pixels = read_pixels(logits, targets, where)
    num_pixels = jnp.maximum(pixels.counts.sum(axis, keepdims=True), 1)
    num_objects = (pixels.counts & pixels.is_object).sum(axis, keepdims=True)
    share = num_objects / num_pixels
    weight = jnp.where(pixels.is_object, 1.0 - share, share)
    return weight * binary_cross_entropy_loss(logits, targets, where=where)
