"""Cross-entropy losses of each pixel: plain, class-weighted, and to a teacher's mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from mst_jax.losses.pixel_errors import PixelAxes, compute_pixel_errors


def binary_cross_entropy_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute -log pt of each pixel (BCE), pt the probability of the true class.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    errors = compute_pixel_errors(logits, targets, where)
    return jnp.where(errors.is_counted, jax.nn.softplus(errors.neg_margin), 0.0)


def weighted_cross_entropy_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    object_weight: float = 2.0,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the cross-entropy, times `object_weight` for targets 1 (WBCE).

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        object_weight: Weight of targets 1; targets 0 have 1. Above 1 it penalizes missed
            objects more, below 1 false alarms.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    loss = binary_cross_entropy_loss(logits, targets, where=where)
    return jnp.where(jnp.asarray(targets) > 0, object_weight, 1.0) * loss


def balanced_cross_entropy_loss(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    *,
    axis: PixelAxes = -1,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the cross-entropy with the same total weight for both classes.

    The weight of targets 1 is the fraction of targets 0 in the example, and the reverse.
    An example of one class alone has no loss.

    Source: Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015, Eq. 2.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        axis: Axes over which the pixels of one example lie.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count.
    """
    errors = compute_pixel_errors(logits, targets, where)
    # Pixels that do not count are left out of the class fractions too.
    num_pixels = jnp.maximum(errors.is_counted.sum(axis, keepdims=True), 1)
    in_object = errors.is_counted & errors.is_object
    object_fraction = in_object.sum(axis, keepdims=True) / num_pixels
    weight = jnp.where(errors.is_object, 1.0 - object_fraction, object_fraction)
    return weight * binary_cross_entropy_loss(logits, targets, where=where)


def distillation_loss(
    logits: Float[Array, "*pixels"],
    teacher_logits: Float[Array, "*pixels"],
    *,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute KL(teacher || student) of each pixel: 0 where both agree.

    Its gradient is that of the cross-entropy to the teacher's probabilities: sigmoid of
    the student's logits minus sigmoid of the teacher's. The teacher gets no gradient.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, Section 2,
    for two classes at temperature 1.

    Args:
        logits: Logits of the student, any shape; float16 and bfloat16 are raised to
            float32.
        teacher_logits: Logits of the teacher for the same clicks, same shape.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Arrays of different shapes.
    """
    is_counted = jnp.ones_like(logits, bool) if where is None else where
    shapes = [jnp.shape(array) for array in (logits, teacher_logits, is_counted)]
    if not shapes[0] == shapes[1] == shapes[2]:
        raise ValueError(
            f"logits are {shapes[0]}, teacher_logits {shapes[1]}, where {shapes[2]}; "
            "give all the same shape"
        )
    wide_dtype = jnp.promote_types(jnp.result_type(logits), jnp.float32)
    # Equal logits on ignored pixels: no loss and no gradient, whatever they held.
    student = jnp.where(is_counted, logits, 0.0).astype(wide_dtype)
    teacher = jnp.where(is_counted, teacher_logits, 0.0).astype(wide_dtype)
    teacher = jax.lax.stop_gradient(teacher)
    # p (log p - log q) of both classes; -log sigmoid(x) = softplus(-x).
    object_term = jax.nn.sigmoid(teacher) * (
        jax.nn.softplus(-student) - jax.nn.softplus(-teacher)
    )
    background_term = jax.nn.sigmoid(-teacher) * (
        jax.nn.softplus(student) - jax.nn.softplus(teacher)
    )
    return object_term + background_term
