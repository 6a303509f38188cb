"""Patch embedding: square patches of a map become tokens."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import einsum, rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.resize import antialiased_cubic_weights


def resize_patch_kernel(
    kernel: Float[Array, "y x c d"], patch_size: int
) -> Float[Array, "i j c d"]:
    """Resize a patch kernel so that resized patches give nearly the same tokens.

    The new kernel is the old one multiplied by the pseudo-inverse of the antialiased
    bicubic resize of patches. The resize is separable into rows and columns, and so is
    its pseudo-inverse.

    Source: Beyer et al., FlexiViT, CVPR 2023, Section 3.4.

    Args:
        kernel: [y x c d] square kernel of a patch embedding.
        patch_size: Side in pixels of the patches that the new kernel embeds.

    Returns:
        [i j c d] kernel for patches of `patch_size`, float32.
    """
    # In float64 on the host: the pseudo-inverse is a constant of the compiled program.
    resize_weights = antialiased_cubic_weights(kernel.shape[0], patch_size)
    pseudo_inverse = np.linalg.pinv(resize_weights.T.astype(np.float64))
    pseudo_inverse = pseudo_inverse.astype(np.float32)
    return jnp.einsum(
        "iy,jx,yxcd->ijcd",
        pseudo_inverse,
        pseudo_inverse,
        kernel,
        precision=jax.lax.Precision.HIGHEST,
    )


class PatchEmbed(nn.Module):
    """Embed each square patch of a map as one token, as a strided convolution does.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, Eq. 1.

    Attributes:
        width: Number of channels of a token.
        patch_size: Side of a patch in pixels.
        dtype: Compute dtype of the matrix product.
    """

    width: int
    patch_size: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, patch_size: int | None = None
    ) -> Float[Array, "b i j d"]:
        """Embed the patches of a map.

        Args:
            x: [b h w c] image or feature map.
            patch_size: Side of the patches of this call, for which the kernel is
                resized; None uses the module's patch size and kernel.

        Returns:
            [b i j d] grid of tokens, row i and column j of patches.

        Raises:
            ValueError: The sides of the map are not multiples of the patch size.
        """
        _, h, w, c = x.shape
        patch_size = self.patch_size if patch_size is None else patch_size
        if h % patch_size or w % patch_size:
            raise ValueError(
                f"image is {h}x{w}, not whole {patch_size}-pixel patches; "
                f"resize or pad it to multiples of {patch_size}"
            )
        kernel_shape = (self.patch_size, self.patch_size, c, self.width)
        # The fan-in is the whole patch, as in a convolution.
        kernel_init = nn.initializers.variance_scaling(
            1.0, "fan_in", "uniform", in_axis=(0, 1, 2)
        )
        kernel = self.param("kernel", kernel_init, kernel_shape)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        # Resized before it is rounded to the compute dtype.
        if patch_size != self.patch_size:
            kernel = resize_patch_kernel(kernel, patch_size)
        image_patches = rearrange(
            x, "b (i y) (j x) c -> b i j y x c", y=patch_size, x=patch_size
        )
        tokens = einsum(
            image_patches.astype(self.dtype),
            kernel.astype(self.dtype),
            "b i j y x c, y x c d -> b i j d",
        )
        return tokens + bias.astype(self.dtype)[None, None, None]
