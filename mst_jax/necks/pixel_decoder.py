"""Pixel decoder: a deformable encoder over pyramid levels, and the mask features."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.level_sampling import LevelSizes, split_levels
from mst_jax.geometry.resize import resize_pixel_centers
from mst_jax.layers.deformable_attention import DeformableAttention, cell_centers
from mst_jax.layers.dense import Dense
from mst_jax.layers.layer_loop import stack_parameters
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, GroupNorm, LayerNorm
from mst_jax.layers.position_embedding import sine_position_embedding
from mst_jax.layers.remat import add_residual, with_remat

# Levels of the encoder: pixels per cell, in the order of the released code.
LEVEL_STRIDES = (32, 16, 8)


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention over all levels, then an MLP; post-norm.

    Source: Zhu et al., Deformable DETR, ICLR 2021, Section 4.2 (encoder).

    Attributes:
        num_heads: Number of attention heads.
        num_points: Number of sampling points of a head on each level.
        mlp_hidden: Hidden width of the MLP.
        dtype: Compute dtype of the matrix products.
    """

    num_heads: int
    num_points: int
    mlp_hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        cells: Float[Array, "b n c"],
        position_embedding: Float[Array, "n c"],
        level_sizes: LevelSizes,
    ) -> Float[Array, "b n c"]:
        """Return the updated cells.

        Args:
            cells: [b n c] cells of all levels, level by level and row by row.
            position_embedding: [n c] embedding of position and level; added to the
                queries but not to the values.
            level_sizes: Rows and columns of each level.
        """
        # 1. Each cell samples all levels around its own center.
        attention = DeformableAttention(
            self.num_heads, self.num_points, self.dtype, name="attention"
        )
        update = attention(
            cells + position_embedding[None],
            cells,
            reference_points_yx=cell_centers(level_sizes),
            level_sizes=level_sizes,
        )
        cells = LayerNorm(PYTORCH_EPS, name="attention_norm")(
            add_residual(cells, update)
        )
        # 2. MLP on each cell.
        update = MLP(self.mlp_hidden, self.dtype, nn.relu, name="mlp")(cells)
        return LayerNorm(PYTORCH_EPS, name="mlp_norm")(add_residual(cells, update))


class PixelDecoder(nn.Module):
    """Multi-scale deformable pixel decoder on top of a pyramid.

    Source: Lin et al., AdaptiveClick, Section III-B (PMMD), on Cheng et al.,
    Mask2Former, CVPR 2022, Section 3.3 (pixel decoder).

    Attributes:
        pyramid: Module from the grid to four maps, finest first.
        width: Number of channels of the levels and of the mask features.
        num_layers: Number of deformable encoder layers.
        num_heads: Number of attention heads.
        num_points: Number of sampling points of a head on each level.
        mlp_hidden: Hidden width of the MLPs.
        num_groups: Number of groups of the group norms; must divide the width.
        dtype: Compute dtype of the matrix products. Norms, sampling points, attention
            weights and softmax are float32.
        remat: What an encoder layer recomputes in the backward pass, see
            `layers.remat`.
        scan: Whether the encoder layers are the body of a loop, which is compiled once.
    """

    pyramid: nn.Module
    width: int = 256
    num_layers: int = 4
    num_heads: int = 8
    num_points: int = 4
    mlp_hidden: int = 1024
    num_groups: int = 32
    dtype: DTypeLike = jnp.float32
    remat: str = "none"
    scan: bool = False

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w d"]
    ) -> tuple[Float[Array, "b h4 w4 c"], tuple[Float[Array, "b _ _ c"], ...]]:
        """Compute the mask features and the levels for the mask decoder.

        Args:
            grid: [b h w d] tokens of the backbone.

        Returns:
            [b h4 w4 c] mask features at 1/4, and the levels at 1/32, 1/16 and 1/8.
        """
        # 1. The three coarser maps of the pyramid, projected to one width.
        finest_map, *coarser_maps = self.pyramid(grid)
        levels = [
            self._project(level, f"in{stride}")
            for level, stride in zip(coarser_maps[::-1], LEVEL_STRIDES, strict=True)
        ]
        level_sizes = tuple((level.shape[1], level.shape[2]) for level in levels)
        # 2. Deformable encoder on the cells of all levels together.
        flat_levels = [rearrange(level, "b i j c -> b (i j) c") for level in levels]
        cells = jnp.concatenate(flat_levels, axis=1)
        position_embedding = self._embed_positions(level_sizes).astype(cells.dtype)
        if self.scan and not self.is_initializing():
            cells = self._run_layers_in_loop(cells, position_embedding, level_sizes)
        else:
            for index in range(self.num_layers):
                encoder_layer = self._make_layer(name=f"layer{index}")
                cells = encoder_layer(cells, position_embedding, level_sizes)
        encoded_levels = split_levels(cells, level_sizes)
        # 3. Mask features: the finest map plus the upsampled 1/8 level, smoothed (FPN).
        finest_map = nn.relu(self._project(finest_map, "in4"))
        upsampled_level = resize_pixel_centers(
            encoded_levels[-1], *finest_map.shape[1:3]
        )
        smooth_conv = nn.Conv(self.width, (3, 3), dtype=self.dtype, name="smooth")
        features = smooth_conv(finest_map + upsampled_level)
        features = nn.relu(GroupNorm(self.num_groups, name="smooth_norm")(features))
        project_features = Dense(self.width, dtype=self.dtype, name="features")
        return project_features(features), encoded_levels

    def _make_layer(self, **module_fields: Any) -> nn.Module:
        """Make an encoder layer."""
        # Argument 3 of the layer's call, the level sizes, holds no arrays.
        layer_class = with_remat(
            DeformableEncoderLayer,
            self.remat,
            in_loop=self.scan,
            static_argnums=(3,),
        )
        return layer_class(
            self.num_heads,
            self.num_points,
            self.mlp_hidden,
            self.dtype,
            **module_fields,
        )

    def _run_layers_in_loop(
        self,
        cells: Float[Array, "b n c"],
        position_embedding: Float[Array, "n c"],
        level_sizes: LevelSizes,
    ) -> Float[Array, "b n c"]:
        """Run the encoder layers as a loop over their stacked parameters."""
        all_params = self.variables["params"]
        layer_params = [all_params[f"layer{index}"] for index in range(self.num_layers)]
        # A module without parent applies the parameters of any layer.
        encoder_layer = self._make_layer(parent=None)

        def run_layer(cells: Array, params: Any) -> tuple[Any, None]:
            variables = {"params": params}
            return (
                encoder_layer.apply(variables, cells, position_embedding, level_sizes),
                None,
            )

        # Offsets and weights of the sampling points have float32 kernels.
        stacked_params = stack_parameters(layer_params, jnp.float32)
        return jax.lax.scan(run_layer, cells, stacked_params)[0]

    def _project(
        self, x: Float[Array, "b h w d"], name: str
    ) -> Float[Array, "b h w c"]:
        """Project a map of the pyramid to the common width and normalize it."""
        x = Dense(self.width, dtype=self.dtype, name=name)(x)
        return GroupNorm(self.num_groups, name=f"{name}_norm")(x)

    def _embed_positions(self, level_sizes: LevelSizes) -> Float[Array, "n c"]:
        """Return sine position embedding plus learned level vector of each cell."""
        level_vectors = self.param(
            "level_vectors",
            nn.initializers.normal(1.0),
            (len(level_sizes), self.width),
        )
        level_embeddings = [
            rearrange(sine_position_embedding(*size, self.width), "i j c -> (i j) c")
            + level_vector[None]
            for size, level_vector in zip(level_sizes, level_vectors, strict=True)
        ]
        return jnp.concatenate(level_embeddings)
