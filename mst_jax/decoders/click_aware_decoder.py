"""Click-aware mask decoder: learned queries predict masks, merged into one."""

from collections.abc import Callable
from functools import partial
from typing import Any

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
from mst_jax.decoders.query_predictions import (
    QueryPredictionHeads,
    merge_predictions,
    predict_mask_logits,
)
from mst_jax.geometry.resize import resize_pixel_centers
from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.layer_loop import shortest_period, stack_parameters
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm
from mst_jax.layers.position_embedding import sine_position_embedding
from mst_jax.layers.remat import add_residual, with_remat
from mst_jax.structs import QueryOutputs


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
        queries = LayerNorm(PYTORCH_EPS, name="cross_norm")(
            add_residual(queries, update)
        )
        # 2. Self-attention between the queries.
        positioned_queries = queries + query_positions
        self_attention = MultiHeadAttention(
            self.num_heads, dtype=self.dtype, name="self"
        )
        update = self_attention(
            positioned_queries, positioned_queries, inputs_v=queries
        )
        queries = LayerNorm(PYTORCH_EPS, name="self_norm")(
            add_residual(queries, update)
        )
        # 3. MLP on each query.
        update = MLP(self.mlp_hidden, self.dtype, nn.relu, name="mlp")(queries)
        return LayerNorm(PYTORCH_EPS, name="mlp_norm")(add_residual(queries, update))


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
        scan: Whether groups of equal layers are the body of a loop, which is compiled
            once.
    """

    num_queries: int = 10
    num_layers: int = 9
    num_heads: int = 8
    mlp_hidden: int = 2048
    attend_to_clicks: bool = True
    dtype: DTypeLike = jnp.float32
    remat: str = "none"
    scan: bool = False

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
        def run_layer(level_index: int, layer: Any, heads: Any, carry: Any) -> Any:
            queries, (class_logits, mask_embeddings) = carry
            own_masks = predict_mask_logits(
                mask_embeddings, level_features[level_index]
            )
            may_attend = query_attention_mask(
                own_masks, class_logits, clicked_cells[level_index]
            )
            queries = layer(
                queries,
                query_positions,
                *keys_and_values[level_index],
                blocked=rearrange(~may_attend, "b q i j -> b q (i j)"),
            )
            return queries, heads(queries)

        carry = queries, layer_predictions[0]
        if self.scan and not self.is_initializing():
            layer_predictions += self._run_loop(run_layer, carry, len(levels))
        else:
            for index in range(self.num_layers):
                layer = self._make_layer(name=f"layer{index}")
                carry = run_layer(
                    index % len(levels), layer, predict_from_queries, carry
                )
                layer_predictions.append(carry[1])
        return merge_predictions(layer_predictions, features)

    def _make_layer(self, **module_fields: Any) -> nn.Module:
        """Make a decoder layer."""
        layer_class = with_remat(QueryDecoderLayer, self.remat, in_loop=self.scan)
        return layer_class(self.num_heads, self.mlp_hidden, self.dtype, **module_fields)

    def _run_loop(
        self, run_layer: Callable[..., Any], carry: Any, num_levels: int
    ) -> list[Any]:
        """Run the layers as a loop over groups that attend to each level once.

        Args:
            run_layer: (level index, layer, prediction heads, carry) -> carry.
            carry: Queries and their predictions.
            num_levels: Number of levels.

        Returns:
            The predictions after each layer.
        """
        params = self.variables["params"]
        level_indices = [index % num_levels for index in range(self.num_layers)]
        group_size = shortest_period(level_indices)
        stacked_params = [
            stack_parameters(
                [
                    params[f"layer{index}"]
                    for index in range(offset, self.num_layers, group_size)
                ],
                self.dtype,
            )
            for offset in range(group_size)
        ]
        # Modules without parents apply the parameters of any layer.
        layer = self._make_layer(parent=None)
        heads = QueryPredictionHeads(carry[1][1].shape[-1], parent=None)
        predict_from_queries = partial(heads.apply, {"params": params["heads"]})

        def run_group(carry: Any, group_params: list[Any]) -> tuple[Any, list[Any]]:
            predictions = []
            for level_index, layer_params in enumerate(group_params):
                carry = run_layer(
                    level_index % num_levels,
                    partial(layer.apply, {"params": layer_params}),
                    predict_from_queries,
                    carry,
                )
                predictions.append(carry[1])
            return carry, predictions

        _, stacked_predictions = jax.lax.scan(run_group, carry, stacked_params)
        return [
            jax.tree.map(lambda leaf, group=group: leaf[group], group_predictions)
            for group in range(self.num_layers // group_size)
            for group_predictions in stacked_predictions
        ]
