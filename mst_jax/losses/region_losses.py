"""Region losses: soft IoU and Dice, computed from the overlap of whole masks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Num

from mst_jax.losses.loss_inputs import AxisName, PixelAxes, make_pixel_reducer
from mst_jax.losses.pixel_errors import compute_pixel_errors

# Smallest union in pixels that is divided by; smaller ones count as empty.
MIN_UNION = 1e-8


def soft_iou_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    axis: PixelAxes | None = None,
    axis_name: AxisName | None = None,
) -> Float[Array, "*examples"]:
    """Compute `1 - sum(p y) / sum(max(p, y))`: 0 (equal) to 1 (disjoint).

    The loss is 0 if both masks are empty.

    Source: Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks,
    ISVC 2016, with the union as the larger of both, as in the published programs.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        axis: Axes of the pixels of one example, such as (-2, -1); required if `logits`
            have several axes.
        axis_name: Mesh axes over which the pixels of one example are sharded, inside
            `jax.shard_map`; None: each example is whole.

    Returns:
        The loss of each example: the shape of `logits` without `axis`.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), a `where` that does not broadcast,
            or no `axis` for several axes.
    """
    abs_error, prob, target = _abs_error_and_masks(logits, labels, where)
    reducer = make_pixel_reducer(logits, axis, axis_name)
    union = reducer.sum(jnp.where(target > 0, target, prob), keepdims=False)
    return reducer.sum(abs_error, keepdims=False) / jnp.maximum(union, MIN_UNION)


def dice_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    axis: PixelAxes | None = None,
    axis_name: AxisName | None = None,
) -> Float[Array, "*examples"]:
    """Compute `1 - (2 sum(p y) + 1) / (sum p + sum y + 1)`: 0 (equal) toward 1.

    Source: Milletari et al., V-Net, 3DV 2016, without the squares and with one pixel
    added to both sums, as in the published programs.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        axis: Axes of the pixels of one example, such as (-2, -1); required if `logits`
            have several axes.
        axis_name: Mesh axes over which the pixels of one example are sharded, inside
            `jax.shard_map`; None: each example is whole.

    Returns:
        The loss of each example: the shape of `logits` without `axis`.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), a `where` that does not broadcast,
            or no `axis` for several axes.
    """
    abs_error, prob, target = _abs_error_and_masks(logits, labels, where)
    reducer = make_pixel_reducer(logits, axis, axis_name)
    # 1 - (2 sum(p y) + 1) / (sum p + sum y + 1), written as one fraction.
    error_sum, prob_sum, target_sum = (
        reducer.sum(values, keepdims=False) for values in (abs_error, prob, target)
    )
    return error_sum / (prob_sum + target_sum + 1.0)


def _abs_error_and_masks(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    where: Bool[ArrayLike, "..."] | None,
) -> tuple[Float[Array, "*pixels"], Float[Array, "*pixels"], Float[Array, "*pixels"]]:
    """Compute |p - y|, p and y of each pixel, 0 where it does not count.

    Both losses are sums of |p - y| over something: no digits cancel near a perfect mask.
    """
    errors = compute_pixel_errors(logits, labels, where)
    # The probability of the wrong class is |p - y| for both classes.
    abs_error = jax.nn.sigmoid(errors.neg_margin)
    prob = jnp.where(errors.is_object, jax.nn.sigmoid(-errors.neg_margin), abs_error)
    target = errors.is_object.astype(abs_error.dtype)
    return (
        jnp.where(errors.is_counted, abs_error, 0.0),
        jnp.where(errors.is_counted, prob, 0.0),
        jnp.where(errors.is_counted, target, 0.0),
    )
