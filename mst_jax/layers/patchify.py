"""Image to tokens."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import einsum, rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.resize import antialiased_cubic_weights


def resize_kernel(
    kernel: Float[Array, "y x c d"], patch: int
) -> Float[Array, "i j c d"]:
    """Resizes a patch kernel so that resized patches give nearly the same tokens.

    The pseudo-inverse of the antialiased bicubic resize of patches, applied to the
    kernel; the resize mixes rows and columns apart, and so does its pseudo-inverse.

    Source: Beyer et al., FlexiViT, CVPR 2023, Section 3.4.

    Args:
        kernel: [y x c d] square.
        patch: side of the patches to make tokens of.
    """
    weights = antialiased_cubic_weights(kernel.shape[0], patch)
    inverse = np.linalg.pinv(weights.T.astype(np.float64)).astype(np.float32)
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum("iy,jx,yxcd->ijcd", inverse, inverse, kernel, precision=highest)


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
    def __call__(
        self, x: Float[Array, "b h w c"], *, patch: int | None = None
    ) -> Float[Array, "b i j d"]:
        """Returns tokens as a grid, row i and column j of patches.

        Args:
            x: [b h w c] the map.
            patch: side of the patches of this call, for which the kernel is resized;
                None: as the kernel has it.

        Raises:
            ValueError: the map is not whole patches.
        """
        _, h, w, c = x.shape
        patch = self.patch if patch is None else patch
        if h % patch or w % patch:
            raise ValueError(
                f"image is {h}x{w}, not whole {patch}-pixel patches; "
                f"resize or pad it to multiples of {patch}"
            )
        shape = (self.patch, self.patch, c, self.width)
        # The fan is the whole patch, as in a convolution.
        init = nn.initializers.variance_scaling(
            1.0, "fan_in", "uniform", in_axis=(0, 1, 2)
        )
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        if patch != self.patch:
            kernel = resize_kernel(kernel, patch)
        patches = rearrange(x, "b (i y) (j x) c -> b i j y x c", y=patch, x=patch)
        tokens = einsum(
            patches.astype(self.dtype),
            kernel.astype(self.dtype),
            "b i j y x c, y x c d -> b i j d",
        )
        return tokens + bias.astype(self.dtype)[None, None, None]
