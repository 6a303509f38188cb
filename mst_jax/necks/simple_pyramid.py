"""One grid of tokens to four maps."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.dense import Dense
from mst_jax.layers.norms import MapNorm


class Enlarge(nn.Module):
    """Doubles rows and columns: each cell makes a 2x2 square (a transposed convolution).

    Attributes:
        width: channels of the result.
        dtype: of the product.
    """

    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Returns [b 2h 2w d]; kernel [c, 2, 2, d] with the square's row before column."""
        squares = Dense(
            (2, 2, self.width), dtype=self.dtype, use_bias=False, name="kernel"
        )(x)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        x = rearrange(squares, "b h w y x d -> b (h y) (w x) d")
        return x + bias.astype(x.dtype)[None, None, None]


class SimplePyramid(nn.Module):
    """Simple feature pyramid: maps at 1/4, 1/8, 1/16 and 1/32 from the ViT's one grid.

    Source: Li et al., Exploring Plain Vision Transformer Backbones, ECCV 2022, Fig. 2;
    widths as in Liu et al., SimpleClick, ICCV 2023.

    Attributes:
        widths: channels of the four maps, finest first.
        dtype: of the products.
    """

    widths: tuple[int, int, int, int]
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
        """Returns the maps, finest first; an odd last row or column has no 1/32 cell."""
        c = grid.shape[-1]
        w4, w8, w16, w32 = self.widths

        def enlarge(x: Array, width: int, name: str) -> Array:
            return Enlarge(width, self.dtype, name=name)(x)

        def finish(x: Array, width: int, name: str) -> Array:
            x = Dense(width, dtype=self.dtype, name=name)(x)
            return nn.gelu(MapNorm(name=f"{name}_norm")(x), approximate=False)

        quarter = max(2 * w4, c // 2)
        x4 = MapNorm(name="quarter_norm")(enlarge(grid, quarter, "quarter"))
        x4 = enlarge(nn.gelu(x4, approximate=False), quarter // 2, "quarter2")
        x4 = finish(MapNorm(name="quarter2_norm")(x4), w4, "out4")

        x8 = MapNorm(name="eighth_norm")(enlarge(grid, max(w8, c // 2), "eighth"))

        shrink = nn.Conv(
            max(w32, 2 * c),
            (2, 2),
            strides=2,
            padding="VALID",
            dtype=self.dtype,
            name="half",
        )
        x32 = MapNorm(name="half_norm")(shrink(grid))
        return (
            x4,
            finish(x8, w8, "out8"),
            finish(grid, w16, "out16"),
            finish(x32, w32, "out32"),
        )
