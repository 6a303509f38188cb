import jax.numpy as jnp

from mst_jax.evaluation.ahead_of_time import compiled

TRACED = []


def scaled(x, *, by):
    TRACED.append(by)
    return by * x


def test_a_program_is_compiled_once_for_each_shape_and_setting():
    for number in (1.0, 2.0):
        x = jnp.array([number])
        assert compiled(scaled, x, by=3)(x) == 3 * number
    assert TRACED == [3]
    x = jnp.ones(2)
    assert (compiled(scaled, x, by=3)(x) == 3).all()
    assert (compiled(scaled, x, by=4)(x) == 4).all()
    assert TRACED == [3, 3, 4]
