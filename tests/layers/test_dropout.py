import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mst_jax import collectives
from mst_jax.layers.dropout import ChannelDropout

DROPOUT_KEYS = {"dropout": jax.random.key(3)}


class FlaxChannelDropout(nn.Module):
    """Flax's dropout with the name of ours, so that both derive the same key."""

    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.25, broadcast_dims=(1, 2), name="drop")(
            x, deterministic=False
        )


class OurChannelDropout(nn.Module):
    """The layer under test inside a module, as in a model."""

    drop_rate: float = 0.25

    @nn.compact
    def __call__(self, x, train=True):
        return ChannelDropout(self.drop_rate, name="drop")(x, train=train)


def test_drops_the_channels_that_flax_drops(rng):
    x = jnp.asarray(rng.normal(size=(4, 2, 3, 8)), jnp.float32)
    expected = FlaxChannelDropout().apply({}, x, rngs=DROPOUT_KEYS)
    actual = OurChannelDropout().apply({}, x, rngs=DROPOUT_KEYS)
    np.testing.assert_array_equal(actual, expected)
    is_dropped = (expected == 0).all((1, 2))
    assert (is_dropped == (expected == 0).any((1, 2))).all()
    assert 0 < is_dropped.mean() < 0.6


def test_nothing_is_dropped_without_training_or_at_rate_zero():
    x = jnp.ones((2, 1, 1, 4))
    np.testing.assert_array_equal(OurChannelDropout().apply({}, x, train=False), x)
    np.testing.assert_array_equal(OurChannelDropout(0.0).apply({}, x), x)


def test_shards_drop_what_the_whole_batch_drops():
    x = jnp.ones((6, 2, 2, 16))
    sharded = jax.vmap(
        lambda shard: OurChannelDropout().apply({}, shard, rngs=DROPOUT_KEYS),
        axis_name=collectives.BATCH_AXIS,
    )(x.reshape(3, 2, 2, 2, 16))
    whole_batch = OurChannelDropout().apply({}, x, rngs=DROPOUT_KEYS)
    np.testing.assert_array_equal(sharded.reshape(x.shape), whole_batch)
