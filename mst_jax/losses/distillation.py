"""How far a mask is from that of a teacher, another model that saw the same clicks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def distillation_loss(
    logits: Float[Array, "*pixels"],
    taught: Float[Array, "*pixels"],
    *,
    where: Bool[Array, "*pixels"] | None = None,
) -> Float[Array, "*pixels"]:
    """KL(teacher || student) of each pixel: 0 where both say the same.

    Its gradient is that of the cross-entropy to the teacher's probabilities, sigmoid of
    the logits minus theirs; the teacher has none.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, Section 2,
    for two classes at temperature 1.

    Args:
        logits: the student's, any shape; float16 and bfloat16 are raised to float32.
        taught: the teacher's logits, same shape.
        where: same shape, False on pixels that do not count; None = all count.

    Returns:
        The loss of each pixel, 0 where it does not count.

    Raises:
        ValueError: the shapes differ.
    """
    counts = jnp.ones_like(logits, bool) if where is None else where
    if not jnp.shape(logits) == jnp.shape(taught) == jnp.shape(counts):
        raise ValueError(
            f"logits are {jnp.shape(logits)}, taught {jnp.shape(taught)}, where "
            f"{jnp.shape(counts)}; give all the same shape"
        )
    wide = jnp.promote_types(jnp.result_type(logits), jnp.float32)
    x, z = (jnp.where(counts, a, 0.0).astype(wide) for a in (logits, taught))
    z = jax.lax.stop_gradient(z)
    yes = jax.nn.sigmoid(z) * (jax.nn.softplus(-x) - jax.nn.softplus(-z))
    no = jax.nn.sigmoid(-z) * (jax.nn.softplus(x) - jax.nn.softplus(z))
    return yes + no
