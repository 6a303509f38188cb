import jax
import jax.numpy as jnp
import numpy as np
import optax

from mst_jax.training.train_state import move_average, start_state


def test_the_first_state():
    params = {"kernel": jnp.ones(2)}
    state = start_state(params, optax.adam(1.0), jax.random.key(3))
    assert int(state.step) == 0
    np.testing.assert_array_equal(state.optimizer[0].mu["kernel"], [0, 0])
    assert (state.key == jax.random.key(3)).all()
    # A tree: all of it goes through jit.
    same = jax.jit(lambda state: state)(state)
    assert jax.tree.structure(same) == jax.tree.structure(state)


def test_the_average_starts_as_a_copy_if_one_is_wanted():
    params = {"kernel": jnp.ones(2)}
    state = start_state(params, optax.sgd(1.0), jax.random.key(3), averages=True)
    np.testing.assert_array_equal(state.average["kernel"], [1, 1])
    assert state.average["kernel"] is not params["kernel"]  # both may be donated
    assert state.best_params is state.average
    plain = start_state(params, optax.sgd(1.0), jax.random.key(3))
    assert plain.average == () and plain.best_params is params


def test_the_average_by_hand():
    """1/10, 2/11 and 3/12 of the old, until that is more than what is to be kept."""
    average = {"a": jnp.array([8.0])}
    for step, (param, want) in enumerate([(2.0, 2.6), (13.6, 11.6), (7.6, 8.6)]):
        params = {"a": jnp.array([param])}
        average = move_average(average, params, jnp.int32(step), keep=0.9)
        np.testing.assert_allclose(average["a"], [want], rtol=1e-6)
    late = move_average(average, {"a": jnp.zeros(1)}, jnp.int32(10_000), keep=0.9)
    np.testing.assert_allclose(late["a"], [0.9 * 8.6], rtol=1e-6)
    assert move_average((), {"a": jnp.zeros(1)}, jnp.int32(0), keep=0.9) == ()
