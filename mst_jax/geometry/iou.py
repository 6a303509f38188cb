"""How much of two masks is shared."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def iou(
    predicted: Bool[Array, "h w"],
    target: Bool[Array, "h w"],
    valid: Bool[Array, "h w"],
) -> Float[Array, ""]:
    """Intersection over union of two masks, counted over valid pixels, 0 to 1.

    If both are empty they agree, and the value is 1 (0 / 0 in the published count,
    which never meets an empty target).
    """
    shared = (predicted & target & valid).sum(dtype=int).astype(jnp.float32)
    either = ((predicted | target) & valid).sum(dtype=int).astype(jnp.float32)
    return jnp.where(either > 0, shared / jnp.maximum(either, 1.0), 1.0)
