"""Simple feature pyramid of ViTDet: one grid of tokens becomes four maps."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.dense import Dense
from mst_jax.layers.mlp import exact_gelu
from mst_jax.layers.norms import GroupNorm


class Upsample2x(nn.Module):
    """Transposed convolution with kernel and stride 2: a cell becomes a 2x2 square.

    Attributes:
        width: Number of channels of the result.
        dtype: Compute dtype of the matrix product.
    """

    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Double the rows and columns of a map.

        Args:
            x: [b h w c] feature map.

        Returns:
            [b 2h 2w d] map; the kernel is [c 2 2 d], the square's row before its
            column.
        """
        # Squares of a stride-2 kernel do not overlap: one dense layer computes them.
        make_squares = Dense(
            (2, 2, self.width), dtype=self.dtype, use_bias=False, name="kernel"
        )
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        x = rearrange(make_squares(x), "b h w y x d -> b (h y) (w x) d")
        return x + bias.astype(x.dtype)[None, None, None]


class SimplePyramid(nn.Module):
    """Simple feature pyramid: maps at 1/4, 1/8, 1/16 and 1/32 from the grid of a ViT.

    Source: Li et al., Exploring Plain Vision Transformer Backbones, ECCV 2022, Fig. 2;
    widths as in Liu et al., SimpleClick, ICCV 2023. Scales are named for patches of 16
    pixels.

    Attributes:
        level_widths: Number of channels of the four maps, finest first.
        dtype: Compute dtype of the matrix products and the convolution.
    """

    level_widths: tuple[int, int, int, int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w c"]
    ) -> tuple[
        Float[Array, "b h4 w4 d4"],
        Float[Array, "b h8 w8 d8"],
        Float[Array, "b h w d16"],
        Float[Array, "b h32 w32 d32"],
    ]:
        """Compute the four maps.

        Args:
            grid: [b h w c] tokens of the backbone, at 1/16.

        Returns:
            Maps of 4, 2, 1 and 1/2 times the sides of the grid. An odd last row or
            column of the grid has no cell in the 1/32 map.
        """
        token_width = grid.shape[-1]
        width_4, width_8, width_16, width_32 = self.level_widths

        def upsample_map(x: Array, width: int, name: str) -> Array:
            return Upsample2x(width, self.dtype, name=name)(x)

        def project_level(x: Array, width: int, name: str) -> Array:
            x = Dense(width, dtype=self.dtype, name=name)(x)
            return exact_gelu(GroupNorm(name=f"{name}_norm")(x))

        # 1/4: two upsamplings, with a norm after each and a GELU between them.
        quarter_width = max(2 * width_4, token_width // 2)
        map_4 = GroupNorm(name="quarter_norm")(
            upsample_map(grid, quarter_width, "quarter")
        )
        map_4 = upsample_map(exact_gelu(map_4), quarter_width // 2, "quarter2")
        map_4 = project_level(GroupNorm(name="quarter2_norm")(map_4), width_4, "out4")

        # 1/8: one upsampling.
        eighth_width = max(width_8, token_width // 2)
        map_8 = GroupNorm(name="eighth_norm")(
            upsample_map(grid, eighth_width, "eighth")
        )

        # 1/32: a convolution over 2x2 cells with stride 2.
        downsample_conv = nn.Conv(
            max(width_32, 2 * token_width),
            (2, 2),
            strides=2,
            padding="VALID",
            dtype=self.dtype,
            name="half",
        )
        map_32 = GroupNorm(name="half_norm")(downsample_conv(grid))

        # 1/16 is the grid itself; every level ends with a projection to its width.
        return (
            map_4,
            project_level(map_8, width_8, "out8"),
            project_level(grid, width_16, "out16"),
            project_level(map_32, width_32, "out32"),
        )
