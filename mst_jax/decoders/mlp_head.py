"""Four maps to one map of mask logits."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.resize import resize_pixel_centres
from mst_jax.layers.dense import Dense
from mst_jax.layers.dropout import DropChannels


class MLPHead(nn.Module):
    """Brings every map to one width and size and mixes them, cell by cell.

    Source: Xie et al., SegFormer, NeurIPS 2021, Section 3.2; as used by Liu et al.,
    SimpleClick, ICCV 2023, and by MST.

    Attributes:
        width: channels of the mix.
        dropout: share of the mix's channels that training drops.
        dtype: of the products; the last one is float32.
    """

    width: int = 256
    dropout: float = 0.1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        maps: tuple[Float[Array, "b _ _ _"], ...],
        disks: Float[Array, "b h w 2"],
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b h4 w4"], tuple]:
        """Decodes a batch.

        Args:
            maps: finest first; the finest gives the size of the result.
            disks: [b h w 2] positive and negative disks; this head does not look at them.
            train: drop channels; needs the random key "dropout".

        Returns:
            [b h4 w4] float32 logits, and an empty tuple: this head has no queries.
        """
        del disks
        _, h, w, _ = maps[0].shape
        mixed = jnp.zeros((), self.dtype)
        for number, x in enumerate(maps):
            x = nn.relu(Dense(self.width, dtype=self.dtype, name=f"level{number}")(x))
            # The published head resizes, concatenates and mixes. Resizing and mixing are
            # linear, so each level may be mixed at its own size: a third of the products
            # and a quarter of the memory.
            mix = Dense(
                self.width, dtype=self.dtype, use_bias=number == 0, name=f"mix{number}"
            )
            mixed = mixed + resize_pixel_centres(mix(x), h, w)
        x = nn.relu(mixed)
        x = DropChannels(self.dropout, name="drop")(x, train=train)
        logits = Dense(1, name="logits")(x.astype(jnp.float32))
        return logits[..., 0], ()
