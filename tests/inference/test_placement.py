import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mst_jax.inference.placement import home
from tests.helpers.analytic_network import bumps


def with_params(*params):
    return jax.tree_util.Partial(bumps, *params)


def test_a_picture_lies_beside_the_parameters():
    last = jax.devices()[-1]
    model = with_params({"bias": jax.device_put(jnp.ones(2), last)})
    assert home(model).device_set == {last}


def test_of_spread_parameters_every_device_has_the_whole_picture():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "data")
    rows = NamedSharding(mesh, PartitionSpec("data"))
    count = len(jax.devices())
    model = with_params(3.0, jax.device_put(jnp.ones((count, 2)), rows))
    placed = jax.device_put(jnp.zeros((4, 6)), home(model))
    assert placed.sharding == NamedSharding(mesh, PartitionSpec())
    assert len(placed.addressable_shards) == count
    assert all(shard.data.shape == (4, 6) for shard in placed.addressable_shards)


def test_a_plain_function_has_the_pictures_where_jax_puts_everything():
    assert home(bumps) == jnp.zeros(()).sharding
