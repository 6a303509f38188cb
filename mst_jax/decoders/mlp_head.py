"""MLP mask head of SegFormer: four maps become one map of mask logits."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.geometry.resize import resize_pixel_centers
from mst_jax.layers.dense import Dense
from mst_jax.layers.dropout import ChannelDropout


class MLPHead(nn.Module):
    """Project every level to one width, resize, mix and predict, cell by cell.

    Source: Xie et al., SegFormer, NeurIPS 2021, Section 3.2; as used by Liu et al.,
    SimpleClick, ICCV 2023, and by MST.

    Attributes:
        width: Number of channels of the mixed levels.
        dropout_rate: Fraction of these channels that training drops.
        dtype: Compute dtype of the matrix products; the last one is float32.
    """

    width: int = 256
    dropout_rate: float = 0.1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        levels: tuple[Float[Array, "b _ _ _"], ...],
        click_disks: Float[Array, "b h w 2"],
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b h4 w4"], None]:
        """Decode a batch.

        Args:
            levels: Maps of the pyramid, finest first; the finest has the size of the
                result.
            click_disks: [b h w 2] positive and negative click disks, which this head
                ignores.
            train: Whether channels are dropped; needs the random key "dropout".

        Returns:
            [b h4 w4] float32 mask logits, and None instead of query outputs.
        """
        del click_disks
        _, h, w, _ = levels[0].shape
        mixed_levels = jnp.zeros((), self.dtype)
        for index, level in enumerate(levels):
            # 1. Project the level to the common width.
            project_level = Dense(self.width, dtype=self.dtype, name=f"level{index}")
            projected_level = nn.relu(project_level(level))
            # 2. Mix, then resize. The published head resizes, concatenates and mixes.
            # Both steps are linear, so each level may be mixed at its own size: a third
            # of the products and a quarter of the memory.
            mix_level = Dense(
                self.width, dtype=self.dtype, use_bias=index == 0, name=f"mix{index}"
            )
            mixed_levels = mixed_levels + resize_pixel_centers(
                mix_level(projected_level), h, w
            )
        # 3. Predict the logits in float32.
        features = nn.relu(mixed_levels)
        features = ChannelDropout(self.dropout_rate, name="drop")(features, train=train)
        logits = Dense(1, name="logits")(features.astype(jnp.float32))
        return logits[..., 0], None
