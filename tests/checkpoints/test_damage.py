import shutil
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.checkpoints import store
from mst_jax.checkpoints.damage import set_damaged_aside


def batches():
    return iter(grain.MapDataset.range(100).repeat().batch(4).to_iter_dataset())


def tree(value):
    params = {"a": {"kernel": value + jnp.arange(600.0).reshape(20, 30)}}
    return params, {"optimizer": {"mean": -params["a"]["kernel"]}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with the checkpoints 4 and 8."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    with store.open_checkpoints(workdir, num_kept=3) as manager:
        for step in (4, 8):
            store.save(manager, step, *tree(step), batches())
    return workdir


@pytest.fixture
def workdir(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xA5
    path.write_bytes(data)


def largest(folder: Path) -> Path:
    """The file that holds the numbers."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.name != "commit_success.txt"]
    return max(files, key=lambda path: path.stat().st_size)


DAMAGES = [truncate, garble, Path.unlink]


def test_a_whole_run_is_left_as_it_is(workdir):
    assert set_damaged_aside(workdir) == []
    assert store.steps_of(workdir) == [4, 8]


def test_a_run_before_its_first_checkpoint_is_no_error(tmp_path):
    assert set_damaged_aside(tmp_path) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", ["params", "training", "data"])
def test_the_run_goes_on_from_the_one_before(workdir, part, damage):
    """Orbax would give the garbled numbers without a word."""
    damage(largest(workdir / "checkpoints" / "8" / part))
    (told,) = set_damaged_aside(workdir)
    assert f"checkpoints/8 is damaged ({part}/" in told and "from step 4" in told
    data = batches()
    with store.open_checkpoints(workdir, num_kept=3) as manager:
        assert manager.all_steps() == [4]
        found = store.restore(manager, 4, *tree(0), data)
        jax.tree.map(np.testing.assert_array_equal, found, tree(4))
        store.save(manager, 8, *found, data)
    assert store.steps_of(workdir) == [4, 8]
    assert set_damaged_aside(workdir) == []


def test_a_folder_with_nothing_in_it_is_set_aside(workdir):
    for _ in range(2):  # the second time one lies aside already
        newest = workdir / "checkpoints" / "8"
        shutil.rmtree(newest)
        newest.mkdir()
        (told,) = set_damaged_aside(workdir)
        assert "8 is damaged (the folder is empty)" in told
        assert store.steps_of(workdir) == [4]
        shutil.copytree(workdir / "checkpoints" / "4", newest)


def test_several_may_be_damaged_but_not_all(workdir):
    for name in ("12", "16"):
        shutil.copytree(workdir / "checkpoints" / "8", workdir / "checkpoints" / name)
        garble(largest(workdir / "checkpoints" / name))
    told = set_damaged_aside(workdir)
    assert [name in one for name, one in zip(("16", "12"), told, strict=True)] == [1, 1]
    assert all("from step 8" in one for one in told)
    for name in ("4", "8"):
        garble(largest(workdir / "checkpoints" / name))
    with pytest.raises(ValueError, match=r"8 is damaged .* there is no other"):
        set_damaged_aside(workdir)
    assert store.steps_of(workdir) == [4, 8]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_of_the_model_takes_the_one_before_and_says_so(
    workdir, damage, capsys
):
    garble(largest(workdir / "checkpoints" / "8" / "training"))
    newest = workdir / "checkpoints" / "8" / "params"
    assert store.find_model(workdir) == (workdir, newest)
    assert capsys.readouterr().err == ""
    damage(largest(newest))
    assert store.find_model(workdir)[1].parent.name == "4"
    (told,) = capsys.readouterr().err.splitlines()
    assert "checkpoints/8 is damaged (params/" in told and "taking 4" in told
    with pytest.raises(ValueError, match=r"8 is damaged .*take an earlier one"):
        store.find_model(newest.parent)
    assert store.steps_of(workdir) == [4, 8]
