"""Image to tokens."""

import flax.linen as nn
import jax.numpy as jnp
from einops import einsum, rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class Patchify(nn.Module):
    """Cuts a map into square patches and maps each to a token, as a strided conv does.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, Eq. 1.

    Attributes:
        width: channels of a token.
        patch: side of a patch in pixels.
        dtype: of the product.
    """

    width: int
    patch: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
        """Returns tokens as a grid, row i and column j of patches.

        Raises:
            ValueError: the map is not whole patches.
        """
        _, h, w, c = x.shape
        if h % self.patch or w % self.patch:
            raise ValueError(
                f"image is {h}x{w}, not whole {self.patch}-pixel patches; "
                f"resize or pad it to multiples of {self.patch}"
            )
        shape = (self.patch, self.patch, c, self.width)
        # The fan is the whole patch, as in a convolution.
        init = nn.initializers.variance_scaling(
            1.0, "fan_in", "uniform", in_axis=(0, 1, 2)
        )
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        patches = rearrange(
            x, "b (i y) (j x) c -> b i j y x c", y=self.patch, x=self.patch
        )
        tokens = einsum(
            patches.astype(self.dtype),
            kernel.astype(self.dtype),
            "b i j y x c, y x c d -> b i j d",
        )
        return tokens + bias.astype(self.dtype)[None, None, None]
