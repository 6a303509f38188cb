import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.checkpoints import store


def batches():
    dataset = grain.MapDataset.range(100).seed(3).shuffle().repeat().batch(4)
    return iter(dataset.to_iter_dataset())


def tree(value):
    params = {"a": {"kernel": jnp.full((2, 3), value)}, "b": jnp.arange(3.0) + value}
    return params, {"optimizer": (jnp.int32(value), {"mean": -params["b"]})}


def test_there_and_back_with_the_position_of_the_data(tmp_path):
    data = batches()
    next(data)
    with store.open_checkpoints(tmp_path, num_kept=2) as manager:
        for step in (1, 2, 3):
            store.save(manager, step, *tree(step), data)
            upcoming = next(data)
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [2, 3]
    # `upcoming` was drawn after the last save.
    fresh = batches()
    with store.open_checkpoints(tmp_path, num_kept=2) as manager:
        params, training = store.restore(manager, 3, *tree(0), fresh)
    jax.tree.map(np.testing.assert_array_equal, (params, training), tree(3))
    np.testing.assert_array_equal(next(fresh), upcoming)


def test_the_best_is_kept_besides_the_newest(tmp_path):
    """NoC 5, 3, 4 and twice none, with two newest: 2 is the best."""
    with store.open_checkpoints(tmp_path, num_kept=2) as manager:
        for step, noc in ((1, 5.0), (2, 3.0), (3, 4.0), (4, None), (5, None)):
            metrics = {} if noc is None else {"noc": noc}
            store.save(manager, step, *tree(step), batches(), metrics=metrics)
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [2, 4, 5]
    with store.open_checkpoints(tmp_path, num_kept=2) as manager:
        store.save(manager, 6, *tree(6), batches(), metrics={"noc": 2.5})
        store.save(manager, 7, *tree(7), batches())
        store.save(manager, 8, *tree(8), batches())
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [6, 7, 8]


def test_the_position_of_the_data_may_be_left_where_it_is(tmp_path):
    with store.open_checkpoints(tmp_path, num_kept=1) as manager:
        data = batches()
        next(data)
        store.save(manager, 2, *tree(2), data)
        manager.wait_until_finished()
        assert store.has_position(manager, 2)
        (tmp_path / "checkpoints" / "2" / "data" / "process_0-of-1.json").unlink()
        assert not store.has_position(manager, 2)
        params, _ = store.restore(manager, 2, *tree(0), None)
    jax.tree.map(np.testing.assert_array_equal, params, tree(2)[0])


def test_another_model_is_refused(tmp_path):
    with store.open_checkpoints(tmp_path, num_kept=1) as manager:
        store.save(manager, 5, *tree(1), batches())
        manager.wait_until_finished()
        params, training = tree(0)
        params["b"] = jnp.zeros(4)
        with pytest.raises(ValueError, match=r"checkpoint 5 .* was not made by this"):
            store.restore(manager, 5, params, training, batches())
        params, training = tree(0)
        params["c"] = jnp.zeros(4)
        with pytest.raises(ValueError, match=r"checkpoint 5 .* was not made by this"):
            store.restore(manager, 5, params, training, batches())


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with store.open_checkpoints(tmp_path, num_kept=3) as manager:
        for step in (9, 10):
            store.save(manager, step, *tree(step), batches())
        manager.wait_until_finished()
    # A save that was cut off keeps its working name.
    (tmp_path / "checkpoints" / "11.orbax-checkpoint-tmp" / "params").mkdir(
        parents=True
    )
    config, params = store.find_model(tmp_path)
    assert (config, params.parent.name) == (tmp_path, "10")
    step = tmp_path / "checkpoints" / "9"
    assert store.find_model(step) == (tmp_path, step / "params")
    shapes = jax.tree.map(jnp.shape, tree(0)[0])
    found = store.read_params(params, tree(0)[0])
    assert jax.tree.map(jnp.shape, found) == shapes
    np.testing.assert_array_equal(found["b"], [10, 11, 12])


def test_a_config_that_cannot_be_written_leaves_the_old_one(tmp_path):
    store.write_config(tmp_path, {"a": 1})
    with pytest.raises(TypeError):
        store.write_config(tmp_path, {"a": 2, "b": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert store.read_config(tmp_path) == {"a": 1}
    # A second name of the old file tells that the new one takes its place whole.
    (tmp_path / "old").hardlink_to(tmp_path / "config.json")
    store.write_config(tmp_path, {"a": 2})
    assert (tmp_path / "old").read_text() == '{\n "a": 1\n}\n'
    assert store.read_config(tmp_path) == {"a": 2}


def test_a_model_is_written_whole_or_not_at_all(tmp_path):
    class Unwritable:
        pass

    with pytest.raises(TypeError):
        store.write_model(tmp_path / "model", {"a": jnp.ones(2)}, {"a": Unwritable()})
    assert list(tmp_path.iterdir()) == []
    store.write_model(tmp_path / "model", {"a": jnp.ones(2)}, {})
    with pytest.raises(ValueError, match="exists already"):
        store.write_model(tmp_path / "model", {"a": jnp.zeros(2)}, {})
    found = store.read_params(tmp_path / "model" / "params", {"a": jnp.zeros(2)})
    np.testing.assert_array_equal(found["a"], [1, 1])


def test_what_cannot_be_written_is_told_in_a_sentence(tmp_path, monkeypatch):
    """The error of the thread that writes comes out at the next save, or at the end."""

    def write_checksums(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_checksums", write_checksums)
    with (
        pytest.raises(OSError, match=r"no checkpoint .* into .*: the disk is full$"),
        store.open_checkpoints(tmp_path, num_kept=1) as manager,
    ):
        store.save(manager, 1, *tree(1), batches())
    assert store.steps_of(tmp_path) == []
