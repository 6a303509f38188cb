import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mst_jax import collectives
from mst_jax.layers.dropout import DropChannels

KEYS = {"dropout": jax.random.key(3)}


class Theirs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.25, broadcast_dims=(1, 2), name="drop")(
            x, deterministic=False
        )


class Ours(nn.Module):
    share: float = 0.25

    @nn.compact
    def __call__(self, x, train=True):
        return DropChannels(self.share, name="drop")(x, train=train)


def test_drops_what_flax_drops(rng):
    x = jnp.asarray(rng.normal(size=(4, 2, 3, 8)), jnp.float32)
    want = Theirs().apply({}, x, rngs=KEYS)
    np.testing.assert_array_equal(Ours().apply({}, x, rngs=KEYS), want)
    dropped = (want == 0).all((1, 2))
    assert (dropped == (want == 0).any((1, 2))).all() and 0 < dropped.mean() < 0.6


def test_nothing_is_dropped_without_training_or_a_share():
    x = jnp.ones((2, 1, 1, 4))
    np.testing.assert_array_equal(Ours().apply({}, x, train=False), x)
    np.testing.assert_array_equal(Ours(0.0).apply({}, x), x)


def test_shares_drop_what_the_whole_batch_drops():
    x = jnp.ones((6, 2, 2, 16))
    apart = jax.vmap(
        lambda x: Ours().apply({}, x, rngs=KEYS), axis_name=collectives.EXAMPLES
    )(x.reshape(3, 2, 2, 2, 16))
    whole = Ours().apply({}, x, rngs=KEYS)
    np.testing.assert_array_equal(apart.reshape(x.shape), whole)
