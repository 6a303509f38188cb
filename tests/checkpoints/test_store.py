from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.checkpoints import store
from tests.helpers.checkpoint_trees import shuffled_batches, small_trees


def test_checkpoint_round_trips_with_the_data_position(tmp_path):
    data = shuffled_batches()
    next(data)
    with store.open_checkpoints(tmp_path, keep_checkpoints=2) as manager:
        for step in (1, 2, 3):
            store.save_checkpoint(manager, step, *small_trees(step), data)
            next_batch = next(data)
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [2, 3]
    # `next_batch` was drawn after the last save.
    restored_data = shuffled_batches()
    with store.open_checkpoints(tmp_path, keep_checkpoints=2) as manager:
        restored = store.restore_checkpoint(manager, 3, *small_trees(0), restored_data)
    jax.tree.map(np.testing.assert_array_equal, restored, small_trees(3))
    np.testing.assert_array_equal(next(restored_data), next_batch)


def test_best_checkpoint_is_kept_in_addition_to_the_newest(tmp_path):
    """NoC 5, 3, 4 and twice none, with two newest: 2 is the best."""
    with store.open_checkpoints(tmp_path, keep_checkpoints=2) as manager:
        for step, noc in ((1, 5.0), (2, 3.0), (3, 4.0), (4, None), (5, None)):
            metrics = {} if noc is None else {"noc": noc}
            store.save_checkpoint(
                manager, step, *small_trees(step), shuffled_batches(), metrics=metrics
            )
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [2, 4, 5]
    with store.open_checkpoints(tmp_path, keep_checkpoints=2) as manager:
        for step, metrics in ((6, {"noc": 2.5}), (7, None), (8, None)):
            store.save_checkpoint(
                manager, step, *small_trees(step), shuffled_batches(), metrics=metrics
            )
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [6, 7, 8]


def test_checkpoint_is_restored_without_the_data_position(tmp_path):
    with store.open_checkpoints(tmp_path, keep_checkpoints=1) as manager:
        data = shuffled_batches()
        next(data)
        store.save_checkpoint(manager, 2, *small_trees(2), data)
        manager.wait_until_finished()
        assert store.has_data_position(manager, 2)
        (tmp_path / "checkpoints" / "2" / "data" / "process_0-of-1.json").unlink()
        assert not store.has_data_position(manager, 2)
        params, _ = store.restore_checkpoint(manager, 2, *small_trees(0), None)
    jax.tree.map(np.testing.assert_array_equal, params, small_trees(2)[0])


def test_checkpoint_of_another_model_is_refused(tmp_path):
    with store.open_checkpoints(tmp_path, keep_checkpoints=1) as manager:
        store.save_checkpoint(manager, 5, *small_trees(1), shuffled_batches())
        manager.wait_until_finished()
        # Another shape, then a parameter more.
        for name in ("b", "c"):
            params, training_state = small_trees(0)
            params[name] = jnp.zeros(4)
            with pytest.raises(
                ValueError, match=r"checkpoint 5 .* does not belong to this"
            ):
                store.restore_checkpoint(
                    manager, 5, params, training_state, shuffled_batches()
                )


def test_training_state_of_other_arrays_does_not_fit(tmp_path):
    with store.open_checkpoints(tmp_path, keep_checkpoints=1) as manager:
        store.save_checkpoint(manager, 5, *small_trees(1), shuffled_batches())
    _, training_state = small_trees(0)
    assert store.fits_training_state(tmp_path, 5, training_state)
    more = training_state | {"more": jnp.zeros(3)}
    assert not store.fits_training_state(tmp_path, 5, more)
    # A damaged checkpoint is reported when the run claims its workdir.
    for path in (tmp_path / "checkpoints" / "5" / "training").glob("*META*"):
        path.write_text("{")
    assert store.fits_training_state(tmp_path, 5, more)


def test_steps_and_folders_are_listed_oldest_first(tmp_path):
    assert store.list_steps(tmp_path) == [] == store.checkpoint_folders(tmp_path)
    folder = tmp_path / "checkpoints"
    for name in ("10", "9", "11.orbax-checkpoint-tmp", "8.damaged"):
        (folder / name).mkdir(parents=True)
    assert store.list_steps(tmp_path) == [9, 10]
    assert store.checkpoint_folders(tmp_path) == [folder / "9", folder / "10"]


def test_failed_write_is_one_clear_error(tmp_path, monkeypatch):
    """The error of the thread that writes is raised at the next save, or at the end."""

    def write_checksums(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_checksums", write_checksums)
    with (
        pytest.raises(OSError, match=r"no checkpoint .* into .*: the disk is full$"),
        store.open_checkpoints(tmp_path, keep_checkpoints=1) as manager,
    ):
        store.save_checkpoint(manager, 1, *small_trees(1), shuffled_batches())
    assert store.list_steps(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ValueError("RESOURCE_EXHAUSTED: Error writing 'a/0.0'\nand so on"),
            "the disk",
        ),
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(5, "Input/output error"), r"\[Errno 5\] Input/output error"),
        (ValueError("PERMISSION_DENIED: 'a'\nand so on"), "PERMISSION_DENIED: 'a'"),
    ],
)
def test_write_error_is_its_first_line(error, reason):
    sentence = f"^no checkpoint could be written into runs/a: {reason}"
    with (
        pytest.raises(OSError, match=sentence) as raised,
        store.summarize_write_errors(Path("runs/a")),
    ):
        raise error
    assert "\n" not in str(raised.value)


def test_ctrl_c_is_no_write_error():
    with (
        pytest.raises(KeyboardInterrupt),
        store.summarize_write_errors(Path("runs/a")),
    ):
        raise KeyboardInterrupt
