"""Image, clicks and previous mask to tokens."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from mst_jax.geometry.resize import (
    resize_bicubic_antialiased,
    resize_positions_bicubic,
)
from mst_jax.layers.patchify import Patchify
from mst_jax.structs import Clicks, Lent

# Of ImageNet, RGB in 0..1; every published backbone was trained with them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class ClickEmbed(nn.Module):
    """Adds what was clicked to what is seen, patch by patch, and says where it is.

    Source: Liu et al., SimpleClick, ICCV 2023, Section 3 (symmetric patch embedding);
    the tokens lent: Xu et al., MST, arXiv 2401.04403, Section 3.

    All of it is float32, whatever the products of the backbone are: its blocks add to
    these tokens, and what is rounded here decides which tokens are chosen later.

    Attributes:
        width: channels of a token.
        patch: side of a patch in pixels.
        positions: (rows, columns) of the learned grid of positions; other grids get it
            resized.
        lends: lend tokens of half and of twice the patch's side to the backbone's
            insertions? One kernel, resized, makes them all; they know nothing of clicks.
    """

    width: int
    patch: int
    positions: tuple[int, int]
    lends: bool = False

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        hints: Float[Array, "b h w 3"],
        clicks: Clicks,
    ) -> tuple[Float[Array, "b i j c"], Lent | tuple[()]]:
        """Embeds a batch.

        Args:
            image: [b h w 3] RGB, 0 to 1.
            hints: [b h w 3] previous probability, positive disks, negative disks.
            clicks: [b k]; handed on to what is lent, the disks say it all to the grid.

        Returns:
            [b i j c] tokens with their positions, and what is lent.
        """
        mean, deviation = jnp.asarray(MEAN), jnp.asarray(DEVIATION)
        normal = (image - mean[None, None, None]) / deviation[None, None, None]
        look = Patchify(self.width, self.patch, name="image")
        tokens = look(normal)
        tokens += Patchify(self.width, self.patch, name="hints")(hints)
        learned = self.param(
            "positions", nn.initializers.normal(0.02), (*self.positions, self.width)
        )
        positions = resize_positions_bicubic(learned, *tokens.shape[1:3])
        grid = tokens + positions[None]
        if not self.lends:
            return grid, ()
        lent = []
        for patch in (self.patch // 2, self.patch * 2):
            seen = look(normal, patch=patch)
            # Smoothed, unlike the grid's, as published.
            places = resize_bicubic_antialiased(learned, *seen.shape[1:3])
            places = rearrange(places, "i j c -> (i j) c")
            lent.append(
                (rearrange(seen, "b i j c -> b (i j) c") + places[None], places)
            )
        (fine, fine_positions), (coarse, coarse_positions) = lent
        return grid, Lent(fine, coarse, fine_positions, coarse_positions, clicks)
