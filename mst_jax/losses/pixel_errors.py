"""The error of each pixel and its focal weight, shared by the mask losses."""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Num

from mst_jax.losses.loss_inputs import (
    BoolOption,
    PixelReducer,
    ScalarOption,
    read_labels,
    read_logits,
    read_where,
)

# Larger logits, also infinite ones, count as this one. Its products with any focal weight
# are finite in float32, so that no gradient is NaN.
MAX_LOGIT = 1e30


class PixelErrors(NamedTuple):
    """Logits and labels, expressed as the logit of the wrong class.

    Attributes:
        neg_margin: Logit of the wrong class, -logit for labels 1; 0 where a pixel does
            not count. So 1 - pt = sigmoid(neg_margin) and -log pt =
            softplus(neg_margin), without cancellation.
        is_object: True for labels 1, also where a pixel does not count.
        is_counted: False on pixels that do not count.
    """

    neg_margin: Float[Array, "*pixels"]
    is_object: Bool[Array, "*pixels"]
    is_counted: Bool[Array, "*pixels"]


def compute_pixel_errors(
    logits: Num[ArrayLike, "*pixels"],
    labels: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."],
    where: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."] | None,
) -> PixelErrors:
    """Compute the negative margin of each pixel from the arguments of a loss.

    Args:
        logits: Logits of any shape; float16 and bfloat16 are converted to float32.
        labels: Labels 0 or 1, same shape as `logits`; above 0.5 is the object.
        where: False on pixels that do not count, broadcasts to `logits`; None: all count.

    Returns:
        The errors, each array of the shape of `logits`.

    Raises:
        ValueError: Logits that are not floats, labels of another shape or with other
            values than 0 and 1, or a `where` that does not broadcast.
    """
    wide_logits = read_logits(logits)
    is_counted = read_where(where, wide_logits.shape)
    is_object = read_labels(labels, where, wide_logits.shape)
    # The outer `where` also removes infinite and undefined logits of ignored pixels.
    neg_margin = jnp.where(
        is_counted, jnp.where(is_object, -wide_logits, wide_logits), 0.0
    )
    return PixelErrors(limit_logits(neg_margin), is_object, is_counted)


@jax.custom_jvp
def limit_logits(logits: Float[Array, "*pixels"]) -> Float[Array, "*pixels"]:
    """Limit logits to +-`MAX_LOGIT`, with the gradient 1 also outside.

    Losses of infinite logits have finite gradients after it: the limits for logits that
    grow.
    """
    return jnp.clip(logits, -MAX_LOGIT, MAX_LOGIT)


@limit_logits.defjvp
def _limit_logits_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """Return the limited logits and the unchanged tangents."""
    return limit_logits(*primals), tangents[0]


def choose(
    condition: BoolOption, if_true: Callable[[], Any], if_false: Callable[[], Any]
) -> Any:
    """Return `if_true()` or `if_false()`; a JAX array as condition computes both."""
    if isinstance(condition, jax.Array):
        return jnp.where(condition, if_true(), if_false())
    return if_true() if condition else if_false()


def class_weight(
    is_object: Bool[Array, "*pixels"], object_weight: ScalarOption, *, name: str
) -> Float[Array, "*pixels"]:
    """Return the weight of each pixel: `object_weight`, and 1 minus it elsewhere.

    Args:
        is_object: True for labels 1.
        object_weight: Weight of labels 1, from 0 to 1.
        name: Name of the option, for the error.

    Raises:
        ValueError: A weight above 1 or below 0 (seen only if it is a Python number).
    """
    if isinstance(object_weight, numbers.Real) and not 0 <= object_weight <= 1:
        raise ValueError(
            f"{name} is {object_weight}, expected a weight from 0 to 1 of labels 1"
        )
    return jnp.where(is_object, object_weight, 1.0 - object_weight)


def focal_weight(
    neg_margin: Float[Array, "*pixels"], gamma: ScalarOption | Float[Array, "..."]
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
    errors: PixelErrors,
    gamma: ScalarOption | Float[Array, "..."],
    *,
    reducer: PixelReducer,
) -> Float[Array, "*pixels"]:
    """Compute (1 - pt)^gamma over its mean in the example.

    No gradient flows through the mean.

    Args:
        errors: Pixel errors from `compute_pixel_errors`.
        gamma: Focal exponent, a scalar or one for each example, of size 1 along the axes
            of the pixels.
        reducer: Sums over the pixels of one example.

    Returns:
        Weights with mean 1 over the pixels that count, 0 on the others.
    """
    # The weights are taken relative to the largest one, in logs: where every pixel is
    # right beyond all doubt, (1 - pt)^gamma itself is 0 and its normalizer infinite.
    log_weight = gamma * jax.nn.log_sigmoid(errors.neg_margin)
    log_weight = jnp.where(errors.is_counted, log_weight, -jnp.inf)
    max_log_weight = reducer.max_without_gradient(log_weight)
    # -inf is the maximum of an example without pixels; -inf - -inf would be NaN.
    finite_max = jnp.where(jnp.isfinite(max_log_weight), max_log_weight, 0.0)
    relative_weight = jnp.exp(log_weight - finite_max)
    # The sum is at least 1, the largest weight, unless no pixel counts.
    weight_sum = jax.lax.stop_gradient(reducer.sum(relative_weight))
    num_pixels = reducer.sum(errors.is_counted)
    return num_pixels / jnp.maximum(weight_sum, 1.0) * relative_weight
