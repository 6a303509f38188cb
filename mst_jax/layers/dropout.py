"""Dropped channels, the same ones on however many devices the batch lies."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax import collectives


class DropChannels(nn.Module):
    """Sets channels of an example to zero everywhere, and scales those that are left.

    What is drawn is what Flax's Dropout draws for the whole batch; that one draws anew on
    each device of a `jax.pmap`.

    Attributes:
        share: of the channels that are dropped, 0 to 1.
    """

    share: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """Returns x as it is unless `train`, which needs the random key "dropout"."""
        if not train or self.share == 0:
            return x
        num_examples, _, _, width = x.shape
        shape = (collectives.num_shares() * num_examples, 1, 1, width)
        drawn = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - self.share, shape)
        kept = collectives.own_share(drawn)
        return jnp.where(kept, x / (1.0 - self.share), jnp.zeros_like(x))
