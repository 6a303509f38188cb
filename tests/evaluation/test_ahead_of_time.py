import jax.numpy as jnp

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
