import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mst_jax.inference.device_placement import parameter_sharding
from tests.helpers.analytic_network import analytic_model


def with_params(*params):
    return jax.tree_util.Partial(analytic_model, *params)


def test_images_are_placed_on_the_device_of_the_parameters():
    last = jax.devices()[-1]
    model = with_params({"bias": jax.device_put(jnp.ones(2), last)})
    assert parameter_sharding(model).device_set == {last}


def test_images_are_replicated_for_sharded_parameters():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "data")
    rows = NamedSharding(mesh, PartitionSpec("data"))
    count = len(jax.devices())
    model = with_params(3.0, jax.device_put(jnp.ones((count, 2)), rows))
    placed = jax.device_put(jnp.zeros((4, 6)), parameter_sharding(model))
    assert placed.sharding == NamedSharding(mesh, PartitionSpec())
    assert len(placed.addressable_shards) == count
    assert all(shard.data.shape == (4, 6) for shard in placed.addressable_shards)


def test_a_plain_function_uses_the_default_device():
    assert parameter_sharding(analytic_model) == jnp.zeros(()).sharding
