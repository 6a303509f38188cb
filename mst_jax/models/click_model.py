"""The one wiring of every model."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax.clicks.encode import disk_maps
from mst_jax.geometry.resize import resize_corners_aligned
from mst_jax.structs import Clicks, Outputs


class ClickModel(nn.Module):
    """Image, clicks and previous mask to mask logits.

    Attributes:
        embed: (image, hints, clicks) -> tokens [b i j c], what it lends the backbone.
        backbone: (tokens, lent) -> tokens, what its insertions chose.
        neck: tokens -> maps, in the form that the decoder takes.
        decoder: (maps, disks, train) -> logits [b h' w'], its queries.
    """

    embed: nn.Module
    backbone: nn.Module
    neck: nn.Module
    decoder: nn.Module

    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        clicks: Clicks,
        previous: Float[Array, "b h w"],
        *,
        train: bool = False,
    ) -> Outputs:
        """Runs the model on a batch.

        Args:
            image: [b h w 3] RGB, 0 to 1, whole patches.
            clicks: [b k] in pixels of the image.
            previous: [b h w] probability of the round before, zeros at first.
            train: drop channels; needs the random key "dropout".

        Returns:
            Outputs with float32 logits [b h w].
        """
        _, h, w, _ = image.shape
        disks = jax.vmap(lambda one: disk_maps(one, h, w))(clicks)
        hints = jnp.concatenate([previous[..., None], disks], axis=-1)
        tokens, lent = self.embed(image, hints, clicks)
        tokens, choices = self.backbone(tokens, lent)
        logits, queries = self.decoder(self.neck(tokens), disks, train=train)
        logits = resize_corners_aligned(logits[..., None].astype(jnp.float32), h, w)
        return Outputs(logits=logits[..., 0], choices=choices, queries=queries)
