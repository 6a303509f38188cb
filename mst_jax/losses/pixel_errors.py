"""The error of each pixel and its focal weight, shared by the mask losses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

PixelAxes = int | tuple[int, ...]


class PixelErrors(NamedTuple):
    """Logits and targets, expressed as the logit of the wrong class.

    Attributes:
        neg_margin: Logit of the wrong class, -logit for targets 1; 0 where a pixel does
            not count. So 1 - pt = sigmoid(neg_margin) and -log pt =
            softplus(neg_margin), without cancellation.
        is_object: True for targets 1, also where a pixel does not count.
        is_counted: False on pixels that do not count.
    """

    neg_margin: Float[Array, "*pixels"]
    is_object: Bool[Array, "*pixels"]
    is_counted: Bool[Array, "*pixels"]


def compute_pixel_errors(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    where: Bool[Array, "*pixels"] | None,
) -> PixelErrors:
    """Compute the negative margin of each pixel from the arguments of a loss.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are raised to float32.
        targets: Targets 0 or 1, same shape as `logits`.
        where: False on pixels that do not count, same shape; None: all pixels count.

    Returns:
        The errors, each array of the shape of `logits`.

    Raises:
        ValueError: Arrays of different shapes.
    """
    compared = (
        {"targets": targets} if where is None else dict(targets=targets, where=where)
    )
    for name, array in compared.items():
        if jnp.shape(array) != jnp.shape(logits):
            raise ValueError(
                f"logits are {jnp.shape(logits)}, {name} {jnp.shape(array)}; "
                "give both the same shape"
            )
    wide_logits = jnp.asarray(logits)
    wide_logits = wide_logits.astype(jnp.promote_types(wide_logits.dtype, jnp.float32))
    is_object = jnp.asarray(targets) > 0
    if where is None:
        is_counted = jnp.ones_like(wide_logits, bool)
    else:
        is_counted = jnp.asarray(where, bool)
    # The outer `where` also removes infinite and undefined logits of ignored pixels.
    neg_margin = jnp.where(
        is_counted, jnp.where(is_object, -wide_logits, wide_logits), 0.0
    )
    return PixelErrors(neg_margin, is_object, is_counted)


def focal_weight(
    neg_margin: Float[Array, "*pixels"], gamma: float | Float[Array, "*examples"]
) -> Float[Array, "*pixels"]:
    """Compute (1 - pt)^gamma: 1 where a pixel is wrong, toward 0 where it is right.

    Args:
        neg_margin: Logit of the wrong class, see `PixelErrors`.
        gamma: Focal exponent, a scalar or an array that broadcasts to the pixels.

    Returns:
        Weights from 0 to 1, of the shape of `neg_margin`.
    """
    return jnp.exp(gamma * jax.nn.log_sigmoid(neg_margin))


def normalized_focal_weight(
    errors: PixelErrors, gamma: float | Float[Array, "*examples"], *, axis: PixelAxes
) -> Float[Array, "*pixels"]:
    """Compute (1 - pt)^gamma over its mean in the example.

    No gradient flows through the mean.

    Args:
        errors: Pixel errors from `compute_pixel_errors`.
        gamma: Focal exponent, a scalar or one for each example, of size 1 along `axis`.
        axis: Axes over which the pixels of one example lie.

    Returns:
        Weights with mean 1 over the pixels that count, 0 on the others.
    """
    # The weights are taken relative to the largest one, in logs: where every pixel is
    # right beyond all doubt, (1 - pt)^gamma itself is 0 and its normalizer infinite.
    log_weight = gamma * jax.nn.log_sigmoid(errors.neg_margin)
    log_weight = jnp.where(errors.is_counted, log_weight, -jnp.inf)
    max_log_weight = jax.lax.stop_gradient(log_weight.max(axis, keepdims=True))
    # -inf is the maximum of an example without pixels; -inf - -inf would be NaN.
    finite_max = jnp.where(jnp.isfinite(max_log_weight), max_log_weight, 0.0)
    relative_weight = jnp.exp(log_weight - finite_max)
    # The sum is at least 1, the largest weight, unless no pixel counts.
    weight_sum = jax.lax.stop_gradient(relative_weight.sum(axis, keepdims=True))
    num_pixels = errors.is_counted.sum(axis, keepdims=True)
    return num_pixels / jnp.maximum(weight_sum, 1.0) * relative_weight
