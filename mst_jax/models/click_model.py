"""The Linen module that all models share: embedding, backbone, neck and decoder."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax.clicks.encode import click_disk_maps
from mst_jax.geometry.resize import resize_corners_aligned
from mst_jax.structs import Clicks, Outputs


class ClickModel(nn.Module):
    """Predict mask logits from an image, clicks and the previous mask.

    Attributes:
        embed: (image, click maps, clicks) -> tokens [b i j c], and the multi-scale tokens
            for the backbone or None.
        backbone: (tokens, multi-scale tokens) -> tokens, and what each token selection
            selected.
        neck: tokens -> maps, in the form that the decoder takes.
        decoder: (maps, click disks, train) -> logits [b h' w'], and the predictions of
            its queries or None.
    """

    embed: nn.Module
    backbone: nn.Module
    neck: nn.Module
    decoder: nn.Module

    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        clicks: Clicks,
        prev_mask: Float[Array, "b h w"],
        *,
        train: bool = False,
    ) -> Outputs:
        """Predict a batch.

        Args:
            image: [b h w 3] RGB, 0 to 1; height and width are whole patches.
            clicks: [b k] clicks in pixels of the image.
            prev_mask: [b h w] probability of the previous round, zeros before the first.
            train: Whether to drop channels; needs the random key "dropout".

        Returns:
            Outputs with float32 logits [b h w].
        """
        _, h, w, _ = image.shape
        # 1. Encode previous mask and clicks as three maps of the image's size.
        disk_maps = jax.vmap(lambda example: click_disk_maps(example, h, w))(clicks)
        click_maps = jnp.concatenate([prev_mask[..., None], disk_maps], axis=-1)
        # 2. Tokens, with token selection on the way where the model has any.
        tokens, multi_scale = self.embed(image, click_maps, clicks)
        tokens, selections = self.backbone(tokens, multi_scale)
        # 3. Decode, and resize the logits to the image in float32.
        neck_outputs = self.neck(tokens)
        logits, queries = self.decoder(neck_outputs, disk_maps, train=train)
        logits = resize_corners_aligned(logits[..., None].astype(jnp.float32), h, w)
        return Outputs(logits=logits[..., 0], selections=selections, queries=queries)
