"""Image, clicks and previous mask to tokens."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.patchify import Patchify
from mst_jax.structs import Clicks

# Of ImageNet, RGB in 0..1; every published backbone was trained with them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class ClickEmbed(nn.Module):
    """Adds what was clicked to what is seen, patch by patch.

    Source: Liu et al., SimpleClick, ICCV 2023, Section 3 (symmetric patch embedding).

    Attributes:
        width: channels of a token.
        patch: side of a patch in pixels.
        dtype: of the products.
    """

    width: int
    patch: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        hints: Float[Array, "b h w 3"],
        clicks: Clicks,
    ) -> tuple[Float[Array, "b i j c"], tuple]:
        """Embeds a batch.

        Args:
            image: [b h w 3] RGB, 0 to 1.
            hints: [b h w 3] previous probability, positive disks, negative disks.
            clicks: [b k]; not looked at here, the disks say it all.

        Returns:
            [b i j c] tokens, and an empty tuple: this embedding lends nothing to the
            backbone's insertions.
        """
        del clicks
        normal = (image - jnp.asarray(MEAN)[None, None, None]) / jnp.asarray(DEVIATION)[
            None, None, None
        ]
        seen = Patchify(self.width, self.patch, self.dtype, name="image")(normal)
        said = Patchify(self.width, self.patch, self.dtype, name="hints")(hints)
        return seen + said, ()
