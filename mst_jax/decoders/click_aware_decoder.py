"""Queries that gather from the picture, and see the clicks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from mst_jax.decoders.merge_queries import merge_queries
from mst_jax.decoders.query_attention_mask import clicked_cells, may_look
from mst_jax.geometry.resize import resize_pixel_centres
from mst_jax.layers.attention import Attention
from mst_jax.layers.dense import Dense
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm
from mst_jax.layers.positions import sine_positions
from mst_jax.layers.remat import with_remat
from mst_jax.structs import Queries


class QueryLayer(nn.Module):
    """Queries gather from a map, then from each other, then think; norms come after.

    Source: Cheng et al., Mask2Former, CVPR 2022, Fig. 2.

    Attributes:
        num_heads: of both attentions.
        hidden: width of the feed-forward.
        dtype: of the products.
    """

    num_heads: int
    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        queries: Float[Array, "b q c"],
        positions: Float[Array, "q c"],
        keys: Float[Array, "b m c"],
        values: Float[Array, "b m c"],
        *,
        blocked: Bool[Array, "b q m"],
    ) -> Float[Array, "b q c"]:
        """Returns the queries of the next layer.

        Args:
            queries: [b q c] what the queries know.
            positions: [q c] who they are; added where they ask, not where they tell.
            keys: [b m c] cells of the map, with their positions.
            values: [b m c] the same cells, without.
            blocked: [b q m] True where a query must not look.
        """
        positions = positions[None]
        cross = Attention(self.num_heads, dtype=self.dtype, name="cross")
        update = cross(queries + positions, keys, value=values, blocked=blocked)
        queries = LayerNorm(PYTORCH_EPS, name="cross_norm")(queries + update)
        placed = queries + positions
        among = Attention(self.num_heads, dtype=self.dtype, name="self")
        update = among(placed, placed, value=queries)
        queries = LayerNorm(PYTORCH_EPS, name="self_norm")(queries + update)
        update = MLP(self.hidden, self.dtype, nn.relu, name="mlp")(queries)
        return LayerNorm(PYTORCH_EPS, name="mlp_norm")(queries + update)


class QueryHeads(nn.Module):
    """What each query takes itself for, and the vector of its mask; all in float32.

    Attributes:
        num_features: of the map that the masks are made of.
    """

    num_features: int

    @nn.compact
    def __call__(
        self, queries: Float[Array, "b q c"]
    ) -> tuple[Float[Array, "b q 2"], Float[Array, "b q d"]]:
        """Returns class logits (no click, click) and, for `make_masks`, vectors.

        Args:
            queries: [b q c] after any layer.
        """
        x = LayerNorm(PYTORCH_EPS, name="norm")(queries)
        class_logits = Dense(2, name="class")(x)
        for number in range(2):
            x = nn.relu(Dense(x.shape[-1], name=f"mask{number}")(x))
        return class_logits, Dense(self.num_features, name="mask2")(x)


def make_masks(
    vectors: Float[Array, "b *q d"], features: Float[Array, "b h w d"]
) -> Float[Array, "b *q h w"]:
    """Mask logits: the products of the queries' vectors with the mask features."""
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum("b...d,bhwd->b...hw", vectors, features, precision=highest)


def _keys_and_values(
    level: Float[Array, "b i j c"], vector: Float[Array, " c"]
) -> tuple[Float[Array, "b m c"], Float[Array, "b m c"]]:
    """Cells of a level with the level's vector, row by row: with positions, without."""
    values = level + vector[None, None, None]
    sine = sine_positions(*level.shape[1:]).astype(level.dtype)
    pattern = "b i j c -> b (i j) c"
    return rearrange(values + sine[None], pattern), rearrange(values, pattern)


class ClickQueries(nn.Module):
    """Click-aware mask decoder: learned queries, each of which answers with a mask.

    Source: Lin et al., AdaptiveClick, Section III-C (CAMD), on Cheng et al.,
    Mask2Former, CVPR 2022.

    Attributes:
        num_queries: masks that compete.
        num_layers: layers; they visit the levels in turn.
        num_heads: of the attentions; must divide the width of the maps.
        hidden: width of the feed-forwards.
        sees_clicks: False = queries look at their own masks only.
        dtype: of the products; queries, norms, heads and softmax are float32.
        remat: what of a layer is computed again for gradients, see `layers.remat`.
    """

    num_queries: int = 10
    num_layers: int = 9
    num_heads: int = 8
    hidden: int = 2048
    sees_clicks: bool = True
    dtype: DTypeLike = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(
        self,
        maps: tuple[Float[Array, "b h4 w4 d"], tuple[Float[Array, "b _ _ c"], ...]],
        disks: Float[Array, "b h w 2"],
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b h4 w4"], Queries]:
        """Decodes a batch.

        Args:
            maps: mask features, and the levels to look at in visiting order.
            disks: [b h w 2] positive and negative disks; only the positive are seen.
            train: nothing is dropped, so that both are the same.

        Returns:
            [b h4 w4] float32 logits of the merged mask, and what all heads said, before
            the first layer and after each.
        """
        del train
        features, levels = maps[0].astype(jnp.float32), maps[1]
        sizes = [level.shape[1:3] for level in levels]
        seen = disks[..., 0] * self.sees_clicks
        clicked = [clicked_cells(seen, *size) for size in sizes]

        normal, width = nn.initializers.normal(1.0), levels[0].shape[-1]
        vectors = self.param("level_vectors", normal, (len(levels), width))
        memory = [
            _keys_and_values(x.astype(self.dtype), vector.astype(self.dtype))
            for x, vector in zip(levels, vectors, strict=True)
        ]
        queries = self.param("query_content", normal, (self.num_queries, width))
        positions = self.param("query_position", normal, (self.num_queries, width))
        shape = (features.shape[0], *queries.shape)
        queries = jnp.broadcast_to(queries[None], shape)
        heads = QueryHeads(features.shape[-1], name="heads")
        said = [heads(queries)]
        # A resized mask is the product with the resized features, which are few.
        seen_at = [resize_pixel_centres(features, *size) for size in sizes]
        make_layer = with_remat(QueryLayer, self.remat)
        for number in range(self.num_layers):
            turn = number % len(levels)
            class_logits, vectors = said[-1]
            own = make_masks(vectors, seen_at[turn])
            looks = may_look(own, class_logits, clicked[turn])
            blocked = rearrange(~looks, "b q i j -> b q (i j)")
            layer = make_layer(
                self.num_heads, self.hidden, self.dtype, name=f"layer{number}"
            )
            queries = layer(queries, positions, *memory[turn], blocked=blocked)
            said.append(heads(queries))
        class_logits, vectors = (jnp.stack(each, 1) for each in zip(*said, strict=True))
        # The gradient of the features is one product for all heads; whoever wants the
        # answer alone makes the masks of the last one alone.
        answer = merge_queries(
            class_logits[:, -1], make_masks(vectors[:, -1], features)
        )
        return answer, Queries(class_logits, make_masks(vectors, features))
