"""A pyramid whose levels look at each other, and the features that masks are made of."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.resize import resize_pixel_centres
from mst_jax.layers.deformable_attention import (
    DeformableAttention,
    Sizes,
    cell_centres,
    split_levels,
)
from mst_jax.layers.dense import Dense
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm, MapNorm
from mst_jax.layers.positions import sine_positions
from mst_jax.layers.remat import with_remat


class DeformableLayer(nn.Module):
    """Cells gather from all levels, then think; norms come after.

    Source: Zhu et al., Deformable DETR, ICLR 2021, Section 4.2 (encoder).

    Attributes:
        num_heads: of the attention.
        num_points: places that a head reads on each level.
        hidden: width of the feed-forward.
        dtype: of the products.
    """

    num_heads: int
    num_points: int
    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        cells: Float[Array, "b n c"],
        positions: Float[Array, "n c"],
        sizes: Sizes,
    ) -> Float[Array, "b n c"]:
        """Returns the cells of the next layer.

        Args:
            cells: [b n c] of all levels, row by row.
            positions: [n c] of place and level; added where cells ask, not where they
                tell.
            sizes: rows and columns of each level.
        """
        attention = DeformableAttention(
            self.num_heads, self.num_points, self.dtype, name="attention"
        )
        query = cells + positions[None]
        update = attention(query, cells, centres_yx=cell_centres(sizes), sizes=sizes)
        cells = LayerNorm(PYTORCH_EPS, name="attention_norm")(cells + update)
        update = MLP(self.hidden, self.dtype, nn.relu, name="mlp")(cells)
        return LayerNorm(PYTORCH_EPS, name="mlp_norm")(cells + update)


class PixelDecoder(nn.Module):
    """Pyramid multi-scale deformable decoder.

    Source: Lin et al., AdaptiveClick, Section III-B (PMMD), on Cheng et al., Mask2Former,
    CVPR 2022, Section 3.3 (pixel decoder).

    Attributes:
        pyramid: grid -> four maps, finest first.
        width: channels of all that comes out.
        num_layers: deformable layers.
        num_heads: of the attentions.
        num_points: places that a head reads on each level.
        hidden: width of the feed-forwards.
        num_groups: of the norms of maps; must divide the width.
        dtype: of the products; norms, places, weights and softmax are float32.
        remat: what of a deformable layer is computed again for gradients, see
            `layers.remat`.
    """

    pyramid: nn.Module
    width: int = 256
    num_layers: int = 4
    num_heads: int = 8
    num_points: int = 4
    hidden: int = 1024
    num_groups: int = 32
    dtype: DTypeLike = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w d"]
    ) -> tuple[Float[Array, "b h4 w4 c"], tuple[Float[Array, "b _ _ c"], ...]]:
        """Returns the mask features, and the levels 1/32, 1/16 and 1/8, in this order."""
        finest, *maps = self.pyramid(grid)
        levels = [
            self._enter(x, f"in{scale}")
            for x, scale in zip(maps[::-1], (32, 16, 8), strict=True)
        ]
        sizes = tuple(x.shape[1:3] for x in levels)
        pattern = "b i j c -> b (i j) c"
        cells = jnp.concatenate([rearrange(x, pattern) for x in levels], axis=1)
        positions = self._positions(sizes).astype(cells.dtype)
        make_layer = with_remat(DeformableLayer, self.remat, static=(3,))
        for number in range(self.num_layers):
            layer = make_layer(
                self.num_heads,
                self.num_points,
                self.hidden,
                self.dtype,
                name=f"layer{number}",
            )
            cells = layer(cells, positions, sizes)
        levels = split_levels(cells, sizes)

        finest = nn.relu(self._enter(finest, "in4"))
        x = finest + resize_pixel_centres(levels[-1], *finest.shape[1:3])
        x = nn.Conv(self.width, (3, 3), dtype=self.dtype, name="smooth")(x)
        x = nn.relu(MapNorm(self.num_groups, name="smooth_norm")(x))
        return Dense(self.width, dtype=self.dtype, name="features")(x), levels

    def _enter(self, x: Float[Array, "b h w d"], name: str) -> Float[Array, "b h w c"]:
        """A map of the pyramid in the common width."""
        x = Dense(self.width, dtype=self.dtype, name=name)(x)
        return MapNorm(self.num_groups, name=f"{name}_norm")(x)

    def _positions(self, sizes: Sizes) -> Float[Array, "n c"]:
        """Sine position and learned level vector of each cell."""
        vectors = self.param(
            "level_vectors", nn.initializers.normal(1.0), (len(sizes), self.width)
        )
        return jnp.concatenate(
            [
                rearrange(sine_positions(*size, self.width), "i j c -> (i j) c")
                + vector[None]
                for size, vector in zip(sizes, vectors, strict=True)
            ]
        )
