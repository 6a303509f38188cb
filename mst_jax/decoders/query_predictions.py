"""What queries predict: classes and masks, merged into one mask."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax.layers.dense import Dense
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm
from mst_jax.structs import QueryOutputs

# Masks and their weights decide the result: float32 products on every device.
FULL_PRECISION = jax.lax.Precision.HIGHEST


class QueryPredictionHeads(nn.Module):
    """Class logits and mask embedding of each query; all of it is float32.

    Attributes:
        num_features: Number of channels of the mask features.
    """

    num_features: int

    @nn.compact
    def __call__(
        self, queries: Float[Array, "b q c"]
    ) -> tuple[Float[Array, "b q 2"], Float[Array, "b q d"]]:
        """Predict from the queries of any layer.

        Args:
            queries: [b q c] content of the queries.

        Returns:
            [b q 2] class logits (not the clicked object, the clicked object), and
            [b q d] mask embeddings for `predict_mask_logits`.
        """
        x = LayerNorm(PYTORCH_EPS, name="norm")(queries)
        class_logits = Dense(2, name="class")(x)
        # A perceptron of three layers makes the mask embedding.
        for index in range(2):
            x = nn.relu(Dense(x.shape[-1], name=f"mask{index}")(x))
        return class_logits, Dense(self.num_features, name="mask2")(x)


def predict_mask_logits(
    mask_embeddings: Float[Array, "b *q d"], features: Float[Array, "b h w d"]
) -> Float[Array, "b *q h w"]:
    """Compute mask logits: the dot product of mask embedding and mask feature.

    Args:
        mask_embeddings: [b *q d] embeddings of the queries.
        features: [b h w d] mask features.

    Returns:
        [b *q h w] logits of the mask of each query.
    """
    return jnp.einsum(
        "b...d,bhwd->b...hw", mask_embeddings, features, precision=FULL_PRECISION
    )


def merge_query_masks(
    class_logits: Float[Array, "*b q 2"], mask_logits: Float[Array, "*b q h w"]
) -> Float[Array, "*b h w"]:
    """Sum the mask logits of the queries, weighted by the probability of a click.

    Source: Lin et al., AdaptiveClick, as released: the sum over queries of
    sigmoid(logit of class 1) x mask logits; no softmax over classes or queries.

    Args:
        class_logits: [b q 2] class logits: not the clicked object, the clicked object.
        mask_logits: [b q h w] mask logits of the queries.

    Returns:
        [b h w] float32 logits of the merged mask.
    """
    query_weight = jax.nn.sigmoid(class_logits[..., 1].astype(jnp.float32))
    return jnp.einsum(
        "...q,...qhw->...hw",
        query_weight,
        mask_logits.astype(jnp.float32),
        precision=FULL_PRECISION,
    )


def merge_predictions(
    layer_predictions: list[tuple[Float[Array, "b q 2"], Float[Array, "b q d"]]],
    features: Float[Array, "b h4 w4 d"],
) -> tuple[Float[Array, "b h4 w4"], QueryOutputs]:
    """Return the merged mask of the last predictions, and all predictions at full size.

    One product computes the masks of all predictions, so that the gradient of the
    features is one product as well. The masks of the last predictions are computed
    separately: at inference only these are used, and the compiler removes the others.
    """
    class_logits, mask_embeddings = (
        jnp.stack(layer_arrays, 1)
        for layer_arrays in zip(*layer_predictions, strict=True)
    )
    last_masks = predict_mask_logits(mask_embeddings[:, -1], features)
    merged_logits = merge_query_masks(class_logits[:, -1], last_masks)
    all_masks = predict_mask_logits(mask_embeddings, features)
    return merged_logits, QueryOutputs(class_logits, all_masks)
