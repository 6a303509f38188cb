"""A run goes on where its newest checkpoint is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

import mst_jax
from mst_jax.checkpoints import store
from mst_jax.training.resume import resume, start_params, without_params
from mst_jax.training.train_state import start_state
from tests.checkpoints.test_store import batches
from tests.helpers import small_checkpoint


def state_of(value, *, seed=0):
    params = {"kernel": jnp.full((2, 3), float(value))}
    state = start_state(params, optax.adam(1.0), jax.random.key(seed))
    return dataclasses.replace(state, step=jnp.int32(value))


def test_without_a_checkpoint_the_state_stays(tmp_path):
    with store.open_checkpoints(tmp_path, num_kept=1) as manager:
        state = state_of(0)
        assert resume(manager, state, batches()) is state


def test_the_newest_state_comes_back_with_its_key_and_its_data(tmp_path):
    data = batches()
    with store.open_checkpoints(tmp_path, num_kept=2) as manager:
        for step in (3, 4):
            state = state_of(step, seed=7)
            store.save(manager, step, state.params, without_params(state), data)
            upcoming = next(data)
        manager.wait_until_finished()
        fresh = batches()
        found = resume(manager, state_of(0), fresh)
    assert int(found.step) == 4 and (found.key == jax.random.key(7)).all()
    np.testing.assert_array_equal(found.params["kernel"], np.full((2, 3), 4))
    np.testing.assert_array_equal(next(fresh), upcoming)


def averaging(value):
    state = state_of(value)
    average = {"kernel": jnp.full((2, 3), value + 0.5)}
    return dataclasses.replace(state, average=average)


def test_the_average_is_what_a_checkpoint_is_known_by(tmp_path):
    state = averaging(3)
    with store.open_checkpoints(tmp_path, num_kept=1) as manager:
        rest = without_params(state)
        store.save(manager, 3, state.best_params, rest, batches())
        manager.wait_until_finished()
        found = resume(manager, averaging(0), batches())
    np.testing.assert_array_equal(found.params["kernel"], np.full((2, 3), 3))
    np.testing.assert_array_equal(found.average["kernel"], np.full((2, 3), 3.5))
    folder = tmp_path / store.CHECKPOINTS / "3" / store.PARAMS
    read = store.read_params(folder, jax.eval_shape(lambda: state.params))
    np.testing.assert_array_equal(read["kernel"], np.full((2, 3), 3.5))


def test_the_average_starts_where_the_parameters_start(tmp_path):
    model = small_checkpoint.write_checkpoint(tmp_path / "model")
    want = mst_jax.load(model).params
    fresh = jax.tree.map(jnp.zeros_like, want)
    state = start_state(fresh, optax.sgd(1.0), jax.random.key(0), averages=True)
    started = start_params(state, str(model), fresh=("embed/positions",))
    assert not started.params["embed"]["positions"].any()
    for tree in (started.params, started.average):
        jax.tree.map(np.testing.assert_array_equal, tree["decoder"], want["decoder"])
