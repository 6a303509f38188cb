"""Channel dropout that is independent of how the batch is sharded."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mst_jax import collectives


class ChannelDropout(nn.Module):
    """Set whole channels of an example to zero and scale the others (spatial dropout).

    It draws what Flax's `Dropout` draws for the whole batch; inside a `jax.pmap` that
    one makes its own draw on each device.

    Attributes:
        drop_rate: Fraction of the channels that is dropped, from 0 up to but not 1.
    """

    drop_rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """Return x with dropped channels in training, and x unchanged otherwise.

        Args:
            x: [b h w c] feature map.
            train: Whether channels are dropped; needs the random key "dropout".

        Returns:
            [b h w c] the map; its expected value is x.
        """
        if not train or self.drop_rate == 0:
            return x
        num_examples, _, _, num_channels = x.shape
        # Every shard draws for the whole batch and takes its own rows of the draw.
        global_shape = (
            collectives.num_batch_shards() * num_examples,
            1,
            1,
            num_channels,
        )
        is_kept = jax.random.bernoulli(
            self.make_rng("dropout"), 1.0 - self.drop_rate, global_shape
        )
        is_kept = collectives.local_shard(is_kept)
        return jnp.where(is_kept, x / (1.0 - self.drop_rate), jnp.zeros_like(x))
