"""Embedding of image, clicks and previous mask as tokens."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from mst_jax.geometry.resize import (
    resize_bicubic_antialiased,
    resize_positions_bicubic,
)
from mst_jax.layers.patch_embed import PatchEmbed
from mst_jax.structs import Clicks, MultiScaleTokens

# RGB statistics of ImageNet, 0 to 1; every published backbone was trained with them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ClickEmbed(nn.Module):
    """Patch embedding of the image plus one of the click maps, with learned positions.

    Source: Liu et al., SimpleClick, ICCV 2023, Section 3 (symmetric patch embedding);
    the multi-scale tokens: Xu et al., MST, arXiv 2401.04403, Section 3.

    The embedding is float32 for every compute dtype of the backbone: its blocks add to
    these tokens, and rounding them would change which tokens are selected later.

    Attributes:
        width: Number of channels of a token.
        patch_size: Side of a patch in pixels.
        position_grid: (rows, columns) of the learned position embedding; it is resized
            to the grid of the image.
        emits_multi_scale: Whether the fine tokens (half the patch size) and the coarse
            tokens (twice the patch size) are returned for token selection. The same
            kernel, resized, embeds all three; only the base grid sees the click maps.
    """

    width: int
    patch_size: int
    position_grid: tuple[int, int]
    emits_multi_scale: bool = False

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        click_maps: Float[Array, "b h w 3"],
        clicks: Clicks,
    ) -> tuple[Float[Array, "b i j c"], MultiScaleTokens | None]:
        """Embed a batch.

        Args:
            image: [b h w 3] RGB, 0 to 1.
            click_maps: [b h w 3] probability map of the previous round, disks around
                the positive clicks, disks around the negative clicks.
            clicks: [b k] clicks in pixels, passed on with the multi-scale tokens.

        Returns:
            [b i j c] base tokens with their positions; and the fine and coarse tokens,
            or None unless `emits_multi_scale`.
        """
        # 1. Base grid: patches of the normalized image, plus patches of the click maps.
        mean = jnp.asarray(IMAGENET_MEAN)[None, None, None]
        std = jnp.asarray(IMAGENET_STD)[None, None, None]
        normalized_image = (image - mean) / std
        embed_image = PatchEmbed(self.width, self.patch_size, name="image")
        base_tokens = embed_image(normalized_image)
        # "hints" is the parameter path of the released checkpoints of this project.
        base_tokens += PatchEmbed(self.width, self.patch_size, name="hints")(click_maps)
        # 2. Learned positions, resized to the grid of this image.
        learned_positions = self.param(
            "positions", nn.initializers.normal(0.02), (*self.position_grid, self.width)
        )
        positions = resize_positions_bicubic(learned_positions, *base_tokens.shape[1:3])
        grid = base_tokens + positions[None]
        if not self.emits_multi_scale:
            return grid, None
        # 3. Fine and coarse tokens of the image alone, each with its own positions.
        scale_outputs = []
        for patch_size in (self.patch_size // 2, self.patch_size * 2):
            scale_tokens = embed_image(normalized_image, patch_size=patch_size)
            # With antialiasing, unlike the positions of the base grid, as published.
            scale_positions = resize_bicubic_antialiased(
                learned_positions, *scale_tokens.shape[1:3]
            )
            scale_positions = rearrange(scale_positions, "i j c -> (i j) c")
            scale_tokens = rearrange(scale_tokens, "b i j c -> b (i j) c")
            scale_outputs.append(
                (scale_tokens + scale_positions[None], scale_positions)
            )
        (fine, fine_positions), (coarse, coarse_positions) = scale_outputs
        return grid, MultiScaleTokens(
            fine, coarse, fine_positions, coarse_positions, clicks
        )
