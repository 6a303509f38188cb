"""Cross-entropy losses of each pixel: plain, class-weighted, and to a teacher's mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Num

from mst_jax.losses.loss_inputs import (
    AxisName,
    PixelAxes,
    ScalarOption,
    make_pixel_reducer,
    read_logits,
    read_where,
)
from mst_jax.losses.pixel_errors import (
    PixelErrors,
    compute_pixel_errors,
    limit_logits,
)


def binary_cross_entropy_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
) -> Float[Array, "*pixels"]:
    """Compute -log pt of each pixel (BCE), pt the probability of the true class.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), or a `where` that does not broadcast.
    """
    return _cross_entropy(compute_pixel_errors(logits, labels, where))


def weighted_cross_entropy_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    object_weight: ScalarOption = 2.0,
) -> Float[Array, "*pixels"]:
    """Compute the cross-entropy, times `object_weight` for labels 1 (WBCE).

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        object_weight: Weight of labels 1; labels 0 have 1. Above 1 it penalizes missed
            objects more, below 1 false alarms.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), or a `where` that does not broadcast.
    """
    errors = compute_pixel_errors(logits, labels, where)
    weight = jnp.where(errors.is_object, object_weight, 1.0)
    return weight * _cross_entropy(errors)


def balanced_cross_entropy_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    axis: PixelAxes | None = None,
    axis_name: AxisName | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the cross-entropy with the same total weight for both classes.

    The weight of labels 1 is the fraction of labels 0 in the example, and the reverse.
    An example of one class alone has no loss.

    Source: Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015, Eq. 2.

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
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), a `where` that does not broadcast,
            or no `axis` for several axes.
    """
    errors = compute_pixel_errors(logits, labels, where)
    reducer = make_pixel_reducer(logits, axis, axis_name)
    # Pixels that do not count are left out of the class fractions too.
    num_pixels = jnp.maximum(reducer.sum(errors.is_counted), 1)
    in_object = errors.is_counted & errors.is_object
    object_fraction = reducer.sum(in_object) / num_pixels
    weight = jnp.where(errors.is_object, 1.0 - object_fraction, object_fraction)
    return weight * _cross_entropy(errors)


def distillation_loss(
    logits: Float[ArrayLike, "*pixels"],
    teacher_logits: Float[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
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
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Logits that are not floats, or of different shapes, or a `where` that
            does not broadcast.
    """
    student, teacher = read_logits(logits), read_logits(teacher_logits)
    if student.shape != teacher.shape:
        raise ValueError(
            f"logits are {student.shape}, teacher_logits {teacher.shape}; give both the "
            "same shape"
        )
    is_counted = read_where(where, student.shape)
    # Equal logits on ignored pixels: no loss and no gradient, whatever they held.
    student = limit_logits(jnp.where(is_counted, student, 0.0))
    teacher = limit_logits(jnp.where(is_counted, teacher, 0.0))
    teacher = jax.lax.stop_gradient(teacher)
    # p (log p - log q) of both classes; -log sigmoid(x) = softplus(-x).
    object_term = jax.nn.sigmoid(teacher) * (
        jax.nn.softplus(-student) - jax.nn.softplus(-teacher)
    )
    background_term = jax.nn.sigmoid(-teacher) * (
        jax.nn.softplus(student) - jax.nn.softplus(teacher)
    )
    return object_term + background_term


def _cross_entropy(errors: PixelErrors) -> Float[Array, "*pixels"]:
    """Compute -log pt of each pixel, 0 where it does not count."""
    return jnp.where(errors.is_counted, jax.nn.softplus(errors.neg_margin), 0.0)
