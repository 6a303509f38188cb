"""What every mask loss asks of a pixel: how wrong it is, and how much that counts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

Axes = int | tuple[int, ...]


class Pixels(NamedTuple):
    """Logits and targets, seen from the wrong side.

    Attributes:
        wrong: logit for the wrong side, -logit for targets 1; 0 where nothing counts. So
            1 - pt = sigmoid(wrong) and -log pt = softplus(wrong), without cancellation.
        is_object: targets 1, also where nothing counts.
        counts: False on pixels that do not count.
    """

    wrong: Float[Array, "*pixels"]
    is_object: Bool[Array, "*pixels"]
    counts: Bool[Array, "*pixels"]


def read_pixels(
    logits: Float[Array, "*pixels"],
    targets: Num[Array, "*pixels"] | Bool[Array, "*pixels"],
    where: Bool[Array, "*pixels"] | None,
) -> Pixels:
    """Sorts out what a loss was given; float16 and bfloat16 are raised to float32.

    Raises:
        ValueError: the shapes differ.
    """
    given = (
        {"targets": targets} if where is None else dict(targets=targets, where=where)
    )
    for name, array in given.items():
        if jnp.shape(array) != jnp.shape(logits):
            raise ValueError(
                f"logits are {jnp.shape(logits)}, {name} {jnp.shape(array)}; "
                "give both the same shape"
            )
    x = jnp.asarray(logits)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    is_object = jnp.asarray(targets) > 0
    counts = jnp.ones_like(x, bool) if where is None else jnp.asarray(where, bool)
    # Also an infinite or undefined logit does not matter where it does not count.
    wrong = jnp.where(counts, jnp.where(is_object, -x, x), 0.0)
    return Pixels(wrong, is_object, counts)


def fade(
    wrong: Float[Array, "*pixels"], gamma: float | Float[Array, "*examples"]
) -> Float[Array, "*pixels"]:
    """(1 - pt)^gamma: 1 where a pixel is wrong, towards 0 where it is right."""
    return jnp.exp(gamma * jax.nn.log_sigmoid(wrong))


def normalized_fade(
    pixels: Pixels, gamma: float | Float[Array, "*examples"], *, axis: Axes
) -> Float[Array, "*pixels"]:
    """(1 - pt)^gamma over its mean in the example; the mean is without gradient.

    Args:
        pixels: see `read_pixels`.
        gamma: one number, or one for each example, of size 1 along `axis`.
        axis: the axes over which an example's pixels lie.

    Returns:
        Weights with mean 1 over the pixels that count, 0 on the others.
    """
    # The weights are taken relative to the largest one, in logs: where every pixel is
    # right beyond all doubt, (1 - pt)^gamma itself is 0 and its normaliser infinite.
    log_fade = gamma * jax.nn.log_sigmoid(pixels.wrong)
    log_fade = jnp.where(pixels.counts, log_fade, -jnp.inf)
    largest = jax.lax.stop_gradient(log_fade.max(axis, keepdims=True))
    relative = jnp.exp(log_fade - jnp.where(jnp.isfinite(largest), largest, 0.0))
    # At least 1, the largest one, unless nothing counts.
    total = jax.lax.stop_gradient(relative.sum(axis, keepdims=True))
    num_pixels = pixels.counts.sum(axis, keepdims=True)
    return num_pixels / jnp.maximum(total, 1.0) * relative
