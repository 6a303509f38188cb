"""The first state, its moving average, warm starts and resuming."""

import dataclasses

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax

import mst_jax
from mst_jax.checkpoints import model_folder, store
from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.models.warm_start import read_start_values
from mst_jax.training.train_state import (
    init_train_state,
    restore_latest,
    resume_tree,
    start_from,
    update_ema,
)
from tests.helpers import small_checkpoint


def test_the_first_state():
    params = {"kernel": jnp.ones(2)}
    state = init_train_state(params, optax.adam(1.0), jax.random.key(3))
    assert int(state.step) == 0
    np.testing.assert_array_equal(state.opt_state[0].mu["kernel"], [0, 0])
    assert (state.key == jax.random.key(3)).all()
    # A tree: all of it goes through jit.
    same_state = jax.jit(lambda state: state)(state)
    assert jax.tree.structure(same_state) == jax.tree.structure(state)


def test_the_average_starts_as_a_copy():
    params = {"kernel": jnp.ones(2)}
    state = init_train_state(params, optax.sgd(1.0), jax.random.key(3), with_ema=True)
    np.testing.assert_array_equal(state.ema_params["kernel"], [1, 1])
    assert state.ema_params["kernel"] is not params["kernel"]  # both may be donated
    assert state.eval_params is state.ema_params
    state = init_train_state(params, optax.sgd(1.0), jax.random.key(3))
    assert state.ema_params is None and state.eval_params is params


def test_the_average_by_hand():
    """1/10, 2/11 and 3/12 of the old value, until that is more than the decay."""
    average = {"a": jnp.array([8.0])}
    for step, (param, expected) in enumerate([(2.0, 2.6), (13.6, 11.6), (7.6, 8.6)]):
        params = {"a": jnp.array([param])}
        average = update_ema(average, params, jnp.int32(step), decay=0.9)
        np.testing.assert_allclose(average["a"], [expected], rtol=1e-6)
    zeros = {"a": jnp.zeros(1)}
    late_average = update_ema(average, zeros, jnp.int32(10_000), decay=0.9)
    np.testing.assert_allclose(late_average["a"], [0.9 * 8.6], rtol=1e-6)
    assert update_ema(None, zeros, jnp.int32(0), decay=0.9) is None


def make_batches():
    dataset = grain.MapDataset.range(100).seed(3).shuffle().repeat().batch(4)
    dataset = dataset.map(lambda numbers: {"numbers": numbers})
    return BatchIterator(dataset, num_workers=0)


def make_state(value, *, seed=0):
    """Return a state at step `value`, whose parameters are `value`."""
    params = {"kernel": jnp.full((2, 3), float(value))}
    state = init_train_state(params, optax.adam(1.0), jax.random.key(seed))
    return dataclasses.replace(state, step=jnp.int32(value))


def make_averaged_state(value):
    """Return a state whose average is 0.5 more than its parameters."""
    ema_params = {"kernel": jnp.full((2, 3), value + 0.5)}
    return dataclasses.replace(make_state(value), ema_params=ema_params)


def test_without_a_checkpoint_the_state_is_unchanged(tmp_path):
    with store.open_checkpoints(tmp_path, keep_checkpoints=1) as manager:
        state = make_state(0)
        assert restore_latest(manager, state, make_batches()) is state


def test_the_newest_state_is_restored_with_its_key_and_data_position(tmp_path):
    batches = make_batches()
    with store.open_checkpoints(tmp_path, keep_checkpoints=2) as manager:
        for step in (3, 4):
            state = make_state(step, seed=7)
            store.save_checkpoint(
                manager, step, state.params, resume_tree(state), batches
            )
            next_batch = next(batches)
        manager.wait_until_finished()
        restored_batches = make_batches()
        restored = restore_latest(manager, make_state(0), restored_batches)
    assert int(restored.step) == 4 and (restored.key == jax.random.key(7)).all()
    np.testing.assert_array_equal(restored.params["kernel"], np.full((2, 3), 4))
    np.testing.assert_array_equal(
        next(restored_batches)["numbers"], next_batch["numbers"]
    )


def test_the_average_is_the_published_model_of_a_checkpoint(tmp_path):
    state = make_averaged_state(3)
    with store.open_checkpoints(tmp_path, keep_checkpoints=1) as manager:
        tree = resume_tree(state)
        store.save_checkpoint(manager, 3, state.eval_params, tree, make_batches())
        manager.wait_until_finished()
        restored = restore_latest(manager, make_averaged_state(0), make_batches())
    np.testing.assert_array_equal(restored.params["kernel"], np.full((2, 3), 3))
    np.testing.assert_array_equal(restored.ema_params["kernel"], np.full((2, 3), 3.5))
    folder = tmp_path / store.CHECKPOINTS_FOLDER / "3" / store.PARAMS_FOLDER
    params = model_folder.read_params(folder, jax.eval_shape(lambda: state.params))
    np.testing.assert_array_equal(params["kernel"], np.full((2, 3), 3.5))


def test_a_warm_start_sets_the_parameters_and_their_average(tmp_path):
    model = small_checkpoint.write_checkpoint(tmp_path / "model")
    expected = mst_jax.load(model).params
    zeros = jax.tree.map(jnp.zeros_like, expected)
    state = init_train_state(zeros, optax.sgd(1.0), jax.random.key(0), with_ema=True)
    start = read_start_values(state.params, model, reinit=("embed/positions",))
    state = start_from(state, start)
    assert not state.params["embed"]["positions"].any()
    for params in (state.params, state.ema_params):
        jax.tree.map(
            np.testing.assert_array_equal, params["decoder"], expected["decoder"]
        )
