"""Click-aware mask decoder: learned queries predict masks, merged into one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from mst_jax.decoders.query_attention_mask import (
    downsample_click_disks,
    query_attention_mask,
)
from mst_jax.geometry.resize import resize_pixel_centers
from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.dense import Dense
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm
from mst_jax.layers.position_embedding import sine_position_embedding
from mst_jax.layers.remat import with_remat
from mst_jax.structs import QueryOutputs

# Masks and their weights decide the result: float32 products on every device.
FULL_PRECISION = jax.lax.Precision.HIGHEST


class QueryDecoderLayer(nn.Module):
    """Masked cross-attention, self-attention and MLP on the queries; post-norm.

    Source: Cheng et al., Mask2Former, CVPR 2022, Fig. 2.

    Attributes:
        num_heads: Number of heads of both attentions.
        mlp_hidden: Hidden width of the MLP.
        dtype: Compute dtype of the matrix products.
    """

    num_heads: int
    mlp_hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        queries: Float[Array, "b q c"],
        query_positions: Float[Array, "q c"],
        keys: Float[Array, "b m c"],
        values: Float[Array, "b m c"],
        *,
        blocked: Bool[Array, "b q m"],
    ) -> Float[Array, "b q c"]:
        """Return the updated queries.

        Args:
            queries: [b q c] content of the queries.
            query_positions: [q c] learned embedding of each query; added to the inputs
                of queries and keys but not to those of values.
            keys: [b m c] cells of a level, with position embedding.
            values: [b m c] the same cells, without position embedding.
            blocked: [b q m] True where a query must not attend to a cell.
        """
        query_positions = query_positions[None]
        # 1. Masked cross-attention: queries attend to the cells of one level.
        cross_attention = MultiHeadAttention(
            self.num_heads, dtype=self.dtype, name="cross"
        )
        update = cross_attention(
            queries + query_positions, keys, inputs_v=values, blocked=blocked
        )
        queries = LayerNorm(PYTORCH_EPS, name="cross_norm")(queries + update)
        # 2. Self-attention between the queries.
        positioned_queries = queries + query_positions
        self_attention = MultiHeadAttention(
            self.num_heads, dtype=self.dtype, name="self"
        )
        update = self_attention(
            positioned_queries, positioned_queries, inputs_v=queries
        )
        queries = LayerNorm(PYTORCH_EPS, name="self_norm")(queries + update)
        # 3. MLP on each query.
        update = MLP(self.mlp_hidden, self.dtype, nn.relu, name="mlp")(queries)
        return LayerNorm(PYTORCH_EPS, name="mlp_norm")(queries + update)


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


def _level_keys_and_values(
    level: Float[Array, "b i j c"], level_vector: Float[Array, " c"]
) -> tuple[Float[Array, "b m c"], Float[Array, "b m c"]]:
    """Return the cells of a level as keys, with position embedding, and as values."""
    values = level + level_vector[None, None, None]
    _, height, width, num_channels = level.shape
    cell_positions = sine_position_embedding(height, width, num_channels)
    keys = values + cell_positions.astype(level.dtype)[None]
    flatten_cells = "b i j c -> b (i j) c"
    return rearrange(keys, flatten_cells), rearrange(values, flatten_cells)


class ClickAwareMaskDecoder(nn.Module):
    """Click-aware mask decoder (CAMD): learned queries, each of which predicts a mask.

    Source: Lin et al., AdaptiveClick, Section III-C (CAMD), on Cheng et al.,
    Mask2Former, CVPR 2022.

    Attributes:
        num_queries: Number of queries.
        num_layers: Number of decoder layers; they attend to the levels in turn.
        num_heads: Number of attention heads; must divide the width of the levels.
        mlp_hidden: Hidden width of the MLPs.
        attend_to_clicks: Whether queries also attend to clicked cells. False is the
            masked attention of Mask2Former.
        dtype: Compute dtype of the matrix products; queries, norms, prediction heads
            and softmax are float32.
        remat: What a layer recomputes in the backward pass, see `layers.remat`.
    """

    num_queries: int = 10
    num_layers: int = 9
    num_heads: int = 8
    mlp_hidden: int = 2048
    attend_to_clicks: bool = True
    dtype: DTypeLike = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(
        self,
        neck_outputs: tuple[
            Float[Array, "b h4 w4 d"], tuple[Float[Array, "b _ _ c"], ...]
        ],
        click_disks: Float[Array, "b h w 2"],
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b h4 w4"], QueryOutputs]:
        """Decode a batch.

        Args:
            neck_outputs: Mask features at 1/4 of the size of the image, and the levels
                (feature maps of several sizes) in the order in which the layers attend
                to them.
            click_disks: [b h w 2] positive and negative click disks; only the positive
                ones are used.
            train: Unused, because nothing is dropped; MLPHead has the same arguments.

        Returns:
            [b h4 w4] float32 logits of the merged mask, and the predictions of all
            queries before the first layer and after each.
        """
        del train
        features, levels = neck_outputs[0].astype(jnp.float32), neck_outputs[1]
        level_sizes = [level.shape[1:3] for level in levels]
        # 1. Cells of each level that a positive disk touches; none without clicks.
        positive_disks = click_disks[..., 0] * self.attend_to_clicks
        clicked_cells = [
            downsample_click_disks(positive_disks, *size) for size in level_sizes
        ]
        # 2. Keys and values of each level.
        normal_init, width = nn.initializers.normal(1.0), levels[0].shape[-1]
        level_vectors = self.param("level_vectors", normal_init, (len(levels), width))
        keys_and_values = [
            _level_keys_and_values(
                level.astype(self.dtype), level_vector.astype(self.dtype)
            )
            for level, level_vector in zip(levels, level_vectors, strict=True)
        ]
        # 3. Learned queries, the same for every example, and their first predictions.
        queries_shape = (self.num_queries, width)
        queries = self.param("query_content", normal_init, queries_shape)
        query_positions = self.param("query_position", normal_init, queries_shape)
        queries = jnp.broadcast_to(queries[None], (features.shape[0], *queries.shape))
        predict_from_queries = QueryPredictionHeads(features.shape[-1], name="heads")
        layer_predictions = [predict_from_queries(queries)]
        # A resized mask equals the product with resized features. These are resized once
        # for each level, and no mask of full size is computed for the attention masks.
        level_features = [resize_pixel_centers(features, *size) for size in level_sizes]
        # 4. Decoder layers. Each attends to the cells that its attention mask allows,
        # computed from the predictions before it, and predicts again.
        layer_class = with_remat(QueryDecoderLayer, self.remat)
        for index in range(self.num_layers):
            level_index = index % len(levels)
            class_logits, mask_embeddings = layer_predictions[-1]
            own_masks = predict_mask_logits(
                mask_embeddings, level_features[level_index]
            )
            may_attend = query_attention_mask(
                own_masks, class_logits, clicked_cells[level_index]
            )
            decoder_layer = layer_class(
                self.num_heads, self.mlp_hidden, self.dtype, name=f"layer{index}"
            )
            queries = decoder_layer(
                queries,
                query_positions,
                *keys_and_values[level_index],
                blocked=rearrange(~may_attend, "b q i j -> b q (i j)"),
            )
            layer_predictions.append(predict_from_queries(queries))
        return _merge_predictions(layer_predictions, features)


def _merge_predictions(
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
