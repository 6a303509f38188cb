"""Intersection over union of masks."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def iou(
    predicted: Bool[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
) -> Float[Array, ""]:
    """Compute the intersection over union of two masks, 0 to 1.

    Two empty masks agree: the value is 1 (0 / 0 in the published programs, which never
    meet an empty target).

    Args:
        predicted: [h w] predicted mask.
        target: [h w] ground-truth mask.
        valid: [h w] True on pixels that count.
    """
    intersection = (predicted & target & valid).sum(dtype=int).astype(jnp.float32)
    union = ((predicted | target) & valid).sum(dtype=int).astype(jnp.float32)
    return jnp.where(union > 0, intersection / jnp.maximum(union, 1.0), 1.0)
