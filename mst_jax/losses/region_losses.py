"""Region losses: soft IoU and Dice, computed from the overlap of whole masks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import PixelAxes, compute_pixel_errors

# Smallest union in pixels that is divided by; smaller ones count as empty.
MIN_UNION = 1e-8


def soft_iou_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    axis: PixelAxes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*examples"]:
    """Compute `1 - sum(p y) / sum(max(p, y))`: 0 (equal) to 1 (disjoint).

    The loss is 0 if both masks are empty.

    Source: Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks,
    ISVC 2016, with the union as the larger of both, as in the published programs.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        axis: Axes over which the pixels of one example lie.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each example: the shape of `logits` without `axis`.
    """
    abs_error, prob, target = _abs_error_and_masks(logits, targets, where)
    union = jnp.where(target > 0, target, prob).sum(axis)
    return abs_error.sum(axis) / jnp.maximum(union, MIN_UNION)


def dice_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    axis: PixelAxes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*examples"]:
    """Compute `1 - (2 sum(p y) + 1) / (sum p + sum y + 1)`: 0 (equal) toward 1.

    Source: Milletari et al., V-Net, 3DV 2016, without the squares and with one pixel
    added to both sums, as in the published programs.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        axis: Axes over which the pixels of one example lie.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each example: the shape of `logits` without `axis`.
    """
    abs_error, prob, target = _abs_error_and_masks(logits, targets, where)
    # 1 - (2 sum(p y) + 1) / (sum p + sum y + 1), written as one fraction.
    return abs_error.sum(axis) / (prob.sum(axis) + target.sum(axis) + 1.0)


def _abs_error_and_masks(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    where: Bool[Array, "*pixels"] | None,
) -> tuple[Float[Array, "*pixels"], Float[Array, "*pixels"], Float[Array, "*pixels"]]:
    """Compute |p - y|, p and y of each pixel, 0 where it does not count.

    Both losses are sums of |p - y| over something: no digits cancel near a perfect mask.
    """
    errors = compute_pixel_errors(logits, targets, where)
    # The probability of the wrong class is |p - y| for both classes.
    abs_error = jax.nn.sigmoid(errors.neg_margin)
    prob = jnp.where(errors.is_object, jax.nn.sigmoid(-errors.neg_margin), abs_error)
    target = errors.is_object.astype(abs_error.dtype)
    return (
        jnp.where(errors.is_counted, abs_error, 0.0),
        jnp.where(errors.is_counted, prob, 0.0),
        jnp.where(errors.is_counted, target, 0.0),
    )
