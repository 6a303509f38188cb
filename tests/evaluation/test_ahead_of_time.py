import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mst_jax.evaluation.ahead_of_time import compile_ahead_of_time

TRACED_FACTORS = []


def scale(array, *, factor):
    TRACED_FACTORS.append(factor)
    return factor * array


def test_a_program_is_compiled_once_for_each_shape_and_static_argument():
    for value in (1.0, 2.0):
        array = jnp.array([value])
        assert compile_ahead_of_time(scale, array, factor=3)(array) == 3 * value
    assert TRACED_FACTORS == [3]
    array = jnp.ones(2)
    assert (compile_ahead_of_time(scale, array, factor=3)(array) == 3).all()
    assert (compile_ahead_of_time(scale, array, factor=4)(array) == 4).all()
    assert TRACED_FACTORS == [3, 3, 4]


def test_all_shardings_over_one_device_have_the_same_program():
    mesh = Mesh(jax.devices()[:1], ("slot",))
    for spec in (PartitionSpec("slot"), PartitionSpec()):
        array = jax.device_put(jnp.ones(4), NamedSharding(mesh, spec))
        assert (compile_ahead_of_time(scale, array, factor=5)(array) == 5).all()
    assert TRACED_FACTORS.count(5) == 1
