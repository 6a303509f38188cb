"""Focal losses: cross-entropies that weigh wrong pixels more than right ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Num

from mst_jax.losses.loss_inputs import (
    AxisName,
    PixelAxes,
    ScalarOption,
    make_pixel_reducer,
)
from mst_jax.losses.pixel_errors import (
    class_weight,
    compute_pixel_errors,
    focal_weight,
    normalized_focal_weight,
)


def focal_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    gamma: ScalarOption = 2.0,
    alpha: ScalarOption | None = None,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss `(1 - pt)^gamma * (-log pt)` of each pixel.

    pt is the probability of the true class.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, Eq. 4 and 5.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        gamma: Focal exponent; 0 gives the cross-entropy.
        alpha: Weight of labels 1; labels 0 have 1 - alpha; None: no class weights.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), or a `where` that does not broadcast.
    """
    errors = compute_pixel_errors(logits, labels, where)
    weight = focal_weight(errors.neg_margin, gamma)
    loss = weight * jax.nn.softplus(errors.neg_margin)
    if alpha is not None:
        loss = class_weight(errors.is_object, alpha, name="alpha") * loss
    # An ignored pixel has the negative margin 0 and so the loss log 2: remove it.
    return jnp.where(errors.is_counted, loss, 0.0)


def poly_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    gamma: ScalarOption = 2.0,
    alpha: ScalarOption = 1.0,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss plus its leading term `alpha * (1 - pt)^(gamma + 1)`.

    pt is the probability of the true class.

    Source: Leng et al., PolyLoss, ICLR 2022, Poly-1 of the focal loss.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        gamma: Focal exponent; 0 gives the cross-entropy as the first term.
        alpha: Weight of the added leading term; not a class weight.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), or a `where` that does not broadcast.
    """
    errors = compute_pixel_errors(logits, labels, where)
    leading_term = alpha * focal_weight(errors.neg_margin, gamma + 1.0)
    focal_term = focal_loss(logits, labels, where=where, gamma=gamma)
    return focal_term + jnp.where(errors.is_counted, leading_term, 0.0)


def normalized_focal_loss(
    logits: Float[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "*pixels"] | Bool[ArrayLike, "*pixels"],
    *,
    where: Bool[ArrayLike, "..."] | None = None,
    axis: PixelAxes | None = None,
    axis_name: AxisName | None = None,
    gamma: ScalarOption = 2.0,
    alpha: ScalarOption = 0.5,
) -> Float[Array, "*pixels"]:
    """Compute the focal loss whose weights sum to the number of pixels of the example.

    With p = sigmoid(logits), pt = p for labels 1 and 1 - p for labels 0, and N pixels:
    `alpha_t * N / sum((1 - pt)^gamma) * (1 - pt)^gamma * (-log pt)`. The focal loss
    vanishes as the mask improves; this loss does not, so that the border of the mask
    still gets a gradient.

    Source: Sofiiuk et al., AdaptIS, ICCV 2019, Eq. 3 and 4; no gradient flows through
    the normalizer, as in the published programs.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, any dtype, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.
            Labels on such pixels may have any value, such as 255.
        axis: Axes of the pixels of one example, such as (-2, -1); required if `logits`
            have several axes.
        axis_name: Mesh axes over which the pixels of one example are sharded, inside
            `jax.shard_map`; None: each example is whole.
        gamma: Focal exponent; 0 gives the cross-entropy.
        alpha: Weight of labels 1; labels 0 have 1 - alpha. It does not enter the
            normalizer.

    Returns:
        The loss of each pixel, 0 where it does not count. Take the mean over `axis` with
        the same `where`.

    Raises:
        ValueError: Logits that are not floats, labels of another shape, labels other than
            0 and 1 (seen only if they are concrete), a `where` that does not broadcast,
            or no `axis` for several axes.
    """
    errors = compute_pixel_errors(logits, labels, where)
    reducer = make_pixel_reducer(logits, axis, axis_name)
    weight = class_weight(errors.is_object, alpha, name="alpha")
    # Ignored pixels need no mask here: their normalized weight is 0.
    weight = weight * normalized_focal_weight(errors, gamma, reducer=reducer)
    return weight * jax.nn.softplus(errors.neg_margin)
