import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.checkpoints import model_folder, store
from tests.helpers.checkpoint_trees import shuffled_batches, small_trees


def test_newest_complete_checkpoint_is_found(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with store.open_checkpoints(tmp_path, keep_checkpoints=3) as manager:
        for step in (9, 10):
            store.save_checkpoint(manager, step, *small_trees(step), shuffled_batches())
        manager.wait_until_finished()
    # A save that was cut off keeps its temporary name.
    unfinished = tmp_path / "checkpoints" / "11.orbax-checkpoint-tmp" / "params"
    unfinished.mkdir(parents=True)
    config_folder, params_folder = model_folder.find_model_folders(tmp_path)
    assert (config_folder, params_folder.parent.name) == (tmp_path, "10")
    ninth = tmp_path / "checkpoints" / "9"
    assert model_folder.find_model_folders(ninth) == (tmp_path, ninth / "params")
    expected = small_trees(0)[0]
    params = model_folder.read_params(params_folder, expected)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected)
    np.testing.assert_array_equal(params["b"], [10, 11, 12])


def test_config_that_cannot_be_written_leaves_the_old_one(tmp_path):
    model_folder.write_config_json(tmp_path, {"a": 1})
    with pytest.raises(TypeError):
        model_folder.write_config_json(tmp_path, {"a": 2, "b": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert model_folder.read_config_json(tmp_path) == {"a": 1}
    # A second name of the old file shows that the new file replaces it as a whole.
    (tmp_path / "old").hardlink_to(tmp_path / "config.json")
    model_folder.write_config_json(tmp_path, {"a": 2})
    assert (tmp_path / "old").read_text() == '{\n "a": 1\n}\n'
    assert model_folder.read_config_json(tmp_path) == {"a": 2}


def test_model_is_written_whole_or_not_at_all(tmp_path):
    class Unwritable:
        pass

    path, params = tmp_path / "model", {"a": jnp.ones(2)}
    with pytest.raises(TypeError):
        model_folder.write_model_folder(path, params, {"a": Unwritable()})
    assert list(tmp_path.iterdir()) == []
    model_folder.write_model_folder(path, params, {})
    with pytest.raises(ValueError, match="already exists"):
        model_folder.write_model_folder(path, {"a": jnp.zeros(2)}, {})
    found = model_folder.read_params(path / "params", {"a": jnp.zeros(2)})
    np.testing.assert_array_equal(found["a"], [1, 1])
