"""Damaged checkpoints of a run are set aside, and readers of the model skip them."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.checkpoints import store
from mst_jax.checkpoints.integrity import quarantine_damaged
from mst_jax.checkpoints.model_folder import find_model_folders
from tests.helpers.checkpoint_trees import shuffled_batches


def large_trees(value):
    params = {"a": {"kernel": value + jnp.arange(600.0).reshape(20, 30)}}
    return params, {"optimizer": {"mean": -params["a"]["kernel"]}}


@pytest.fixture(scope="module")
def intact_run(tmp_path_factory):
    """A run with the checkpoints 4 and 8."""
    workdir = tmp_path_factory.mktemp("runs") / "intact"
    with store.open_checkpoints(workdir, keep_checkpoints=3) as manager:
        for step in (4, 8):
            store.save_checkpoint(manager, step, *large_trees(step), shuffled_batches())
    return workdir


@pytest.fixture
def workdir(intact_run, tmp_path):
    return shutil.copytree(intact_run, tmp_path / "run")


def quarantine(workdir: Path) -> list[str]:
    return quarantine_damaged(store.checkpoint_folders(workdir))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_bits(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xA5
    path.write_bytes(data)


def largest_file(folder: Path) -> Path:
    """Return the file that holds the values."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.name != "commit_success.txt"]
    return max(files, key=lambda path: path.stat().st_size)


DAMAGES = [truncate, flip_bits, Path.unlink]


def test_intact_run_is_unchanged(workdir):
    assert quarantine(workdir) == []
    assert store.list_steps(workdir) == [4, 8]


def test_run_before_its_first_checkpoint_is_no_error(tmp_path):
    assert quarantine(tmp_path) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", ["params", "training", "data"])
def test_run_resumes_from_the_checkpoint_before_a_damaged_one(workdir, part, damage):
    """Orbax would return the changed values without an error."""
    damage(largest_file(workdir / "checkpoints" / "8" / part))
    (message,) = quarantine(workdir)
    assert f"checkpoints/8 is damaged ({part}/" in message and "from step 4" in message
    data = shuffled_batches()
    with store.open_checkpoints(workdir, keep_checkpoints=3) as manager:
        assert manager.all_steps() == [4]
        restored = store.restore_checkpoint(manager, 4, *large_trees(0), data)
        jax.tree.map(np.testing.assert_array_equal, restored, large_trees(4))
        store.save_checkpoint(manager, 8, *restored, data)
    assert store.list_steps(workdir) == [4, 8]
    assert quarantine(workdir) == []


def test_empty_folder_is_set_aside(workdir):
    for _ in range(2):  # the second time one lies aside already
        newest = workdir / "checkpoints" / "8"
        shutil.rmtree(newest)
        newest.mkdir()
        (message,) = quarantine(workdir)
        assert "8 is damaged (the folder is empty)" in message
        assert store.list_steps(workdir) == [4]
        shutil.copytree(workdir / "checkpoints" / "4", newest)


def test_several_may_be_damaged_but_not_all(workdir):
    for name in ("12", "16"):
        shutil.copytree(workdir / "checkpoints" / "8", workdir / "checkpoints" / name)
        flip_bits(largest_file(workdir / "checkpoints" / name))
    messages = quarantine(workdir)
    assert ["16" in messages[0], "12" in messages[1]] == [True, True]
    assert len(messages) == 2 and all("from step 8" in text for text in messages)
    for name in ("4", "8"):
        flip_bits(largest_file(workdir / "checkpoints" / name))
    with pytest.raises(ValueError, match=r"8 is damaged .* there is no other"):
        quarantine(workdir)
    assert store.list_steps(workdir) == [4, 8]


@pytest.mark.parametrize("damage", DAMAGES)
def test_reader_takes_the_checkpoint_before_and_warns(workdir, damage, capsys):
    flip_bits(largest_file(workdir / "checkpoints" / "8" / "training"))
    newest = workdir / "checkpoints" / "8" / "params"
    assert find_model_folders(workdir) == (workdir, newest)
    assert capsys.readouterr().err == ""
    damage(largest_file(newest))
    assert find_model_folders(workdir)[1].parent.name == "4"
    (warning,) = capsys.readouterr().err.splitlines()
    assert (
        "checkpoints/8 is damaged (params/" in warning
        and "using the earlier 4" in warning
    )
    with pytest.raises(ValueError, match=r"8 is damaged .*use an earlier one"):
        find_model_folders(newest.parent)
    assert store.list_steps(workdir) == [4, 8]
