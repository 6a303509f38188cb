"""Losses of whole masks: how much of mask and target do not overlap."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import Axes, read_pixels

# Pixels; a union below is none, and nothing is divided by less.
EMPTY = 1e-8


def soft_iou_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    axis: Axes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*examples"]:
    """`1 - sum(p y) / sum(max(p, y))`: 0 (same) to 1 (apart); 0 if both are empty.

    Source: Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks,
    ISVC 2016, with the union as the larger of both, as in the published programs.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        axis: the axes over which an example's pixels lie.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each example: the shape of `logits` without `axis`.
    """
    wrong, prob, target = _masses(logits, targets, where)
    union = jnp.where(target > 0, target, prob).sum(axis)
    return wrong.sum(axis) / jnp.maximum(union, EMPTY)


def dice_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    axis: Axes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*examples"]:
    """`1 - (2 sum(p y) + 1) / (sum p + sum y + 1)`: 0 (same) towards 1 (apart).

    Source: Milletari et al., V-Net, 3DV 2016, without the squares and with one pixel
    added to both sums, as in the published programs.

    Args:
        logits: any shape; float16 and bfloat16 are raised to float32.
        targets: same shape, 0 or 1.
        axis: the axes over which an example's pixels lie.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each example: the shape of `logits` without `axis`.
    """
    wrong, prob, target = _masses(logits, targets, where)
    return wrong.sum(axis) / (prob.sum(axis) + target.sum(axis) + 1.0)


def _masses(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    where: Bool[Array, "*pixels"] | None,
) -> tuple[Float[Array, "*pixels"], Float[Array, "*pixels"], Float[Array, "*pixels"]]:
    """|p - y|, p and y of each pixel, 0 where it does not count.

    Both losses are sums of |p - y| over something: no digits cancel near a perfect mask.
    """
    pixels = read_pixels(logits, targets, where)
    wrong = jax.nn.sigmoid(pixels.wrong)
    prob = jnp.where(pixels.is_object, jax.nn.sigmoid(-pixels.wrong), wrong)
    target = pixels.is_object.astype(wrong.dtype)
    return tuple(jnp.where(pixels.counts, x, 0.0) for x in (wrong, prob, target))
