"""A run goes on where its newest checkpoint is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mst_jax.checkpoints import store
from mst_jax.training.resume import check_same_model, resume, without_params
from mst_jax.training.state import start_state
from tests.checkpoints.test_store import batches
from tests.tiny_config import get_config


def state_of(value, *, seed=0):
    params = {"kernel": jnp.full((2, 3), value)}
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


def test_a_run_of_another_model_is_refused(tmp_path):
    config = get_config()
    check_same_model(tmp_path, config)
    store.write_config(tmp_path, config.to_dict())
    check_same_model(tmp_path, config)
    config.model.depth = 2
    with pytest.raises(ValueError, match="holds a run of the model"):
        check_same_model(tmp_path, config)
