import jax
import jax.numpy as jnp
import numpy as np
import optax

from mst_jax.training.state import start_state


def test_the_first_state():
    params = {"kernel": jnp.ones(2)}
    state = start_state(params, optax.adam(1.0), jax.random.key(3))
    assert int(state.step) == 0
    np.testing.assert_array_equal(state.optimizer[0].mu["kernel"], [0, 0])
    assert (state.key == jax.random.key(3)).all()
    # A tree: all of it goes through jit.
    same = jax.jit(lambda state: state)(state)
    assert jax.tree.structure(same) == jax.tree.structure(state)
