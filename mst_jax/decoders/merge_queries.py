"""The masks of all queries to one mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def merge_queries(
    class_logits: Float[Array, "*b q 2"], mask_logits: Float[Array, "*b q h w"]
) -> Float[Array, "*b h w"]:
    """Sums the mask logits of the queries, each as much as it takes itself for clicked.

    Source: Lin et al., AdaptiveClick, as released: the sum over queries of
    sigmoid(logit of class 1) x mask logits; no softmax over classes or queries.

    Args:
        class_logits: [b q 2] no click, click.
        mask_logits: [b q h w] before the sigmoid.

    Returns:
        [b h w] logits, float32.
    """
    weight = jax.nn.sigmoid(class_logits[..., 1].astype(jnp.float32))
    return jnp.einsum(
        "...q,...qhw->...hw",
        weight,
        mask_logits.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )
