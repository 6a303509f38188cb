"""Workdirs are locked, free of damaged checkpoints, and of one config."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from mst_jax.checkpoints import model_folder, store
from mst_jax.config_options import as_json
from mst_jax.training.workdir import (
    check_same_model,
    claim_workdir,
    describe_config_changes,
    list_effective_changes,
    lock_workdir,
)
from tests.helpers.tiny_config import get_config


@pytest.fixture
def workdir(tmp_path):
    """The workdir of a run that has made a checkpoint."""
    model_folder.write_config_json(tmp_path, as_json(get_config().to_dict()))
    (tmp_path / "checkpoints" / "4" / "params" / "d").mkdir(parents=True)
    return tmp_path


def test_a_run_of_another_model_is_refused(tmp_path):
    config = get_config()
    check_same_model(tmp_path, config)
    model_folder.write_config_json(tmp_path, config.to_dict())
    check_same_model(tmp_path, config)
    # The parameters stay the same.
    with config.unlocked():
        config.model.update(dtype="bfloat16", remat="blocks", dropout=0.0)
    check_same_model(tmp_path, config)
    config.model.depth = 2
    with pytest.raises(ValueError, match=r"config.model.depth was 1 and is 2; use the"):
        check_same_model(tmp_path, config)


def test_harmless_changes_are_a_remark(workdir):
    config = get_config()
    assert describe_config_changes(workdir, config) == []
    config.log_every, config.keep_checkpoints, config.init_from = 7, 9, "a.pth"
    config.data.data_dir, config.data.num_workers = "/elsewhere", 3
    config.zoom.min_side = 99
    config.summaries.num_images = 1
    config.sharding.model_axis_size = 2
    with config.unlocked():
        config.model.remat = "blocks"
    (sentence,) = describe_config_changes(workdir, config)
    assert sentence.startswith("remark: config.data.data_dir was 'data' and is")
    assert "config.model.remat was None and is 'blocks'" in sentence
    assert sentence.endswith("this does not change what the run learns")
    assert list_effective_changes(workdir, config) == ""


@pytest.mark.parametrize(
    ("key", "value", "description"),
    [
        ("seed", 5, "config.seed was 0 and is 5"),
        ("batch", 4, "config.batch was 2 and is 4"),
        ("steps", 24, "config.steps was 12 and is 24"),
        ("data.name", "sbd", "config.data.name was 'shapes' and is 'sbd'"),
        ("optimizer.name", "adam", "config.optimizer.name was 'adamw' and is 'adam'"),
        ("losses.normalized_focal", 2.0, "config.losses.normalized_focal was 1.0 and"),
    ],
)
def test_changes_of_what_is_learned_are_described(workdir, key, value, description):
    config = get_config()
    config.update_from_flattened_dict({key: value})
    (sentence,) = describe_config_changes(workdir, config)
    assert sentence.startswith(description)
    assert "resumes, but not as it would" in sentence
    (workdir / "checkpoints" / "4" / "params" / "d").rmdir()
    (workdir / "checkpoints" / "4" / "params").rmdir()
    (workdir / "checkpoints" / "4").rmdir()
    assert describe_config_changes(workdir, config) == []  # there is nothing to resume


def test_several_changes_and_new_keys_are_one_sentence(workdir):
    config = get_config()
    config.seed, config.crop = 1, 48
    with config.unlocked():
        config.data.difficulty_gamma = 2.0
    sentence, remark = describe_config_changes(workdir, config)
    assert remark.startswith("remark: config.zoom.size was 32 and is 48; this does")
    assert sentence.startswith(
        "config.crop was 32 and is 48, config.data.difficulty_gamma was None and is "
        "2.0, config.model.crop was 32 and is 48, config.seed was 0 and is 1: the run in"
    )


def test_a_claimed_workdir_is_locked_and_has_no_damaged_checkpoints(workdir, capsys):
    config = get_config()
    config.seed = 3
    (workdir / "checkpoints" / "8").mkdir()
    with claim_workdir(workdir, config):
        with (
            pytest.raises(ValueError, match="another training"),
            claim_workdir(workdir, config),
        ):
            pass
        assert store.list_steps(workdir) == [4]
    damaged, changed = capsys.readouterr().err.splitlines()
    assert "8 is damaged (the folder is empty)" in damaged
    assert changed.startswith("config.seed was 0 and is 3: ")


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path):
    workdir = tmp_path / "new" / "run"
    with lock_workdir(workdir):
        with (
            pytest.raises(ValueError, match=r"another training runs in .*run"),
            lock_workdir(workdir),
        ):
            pass
        with lock_workdir(tmp_path / "other"):
            pass
    with lock_workdir(workdir):
        pass


def test_a_killed_run_leaves_no_lock(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from mst_jax.training.workdir import lock_workdir\n"
        "with lock_workdir(pathlib.Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        with (
            pytest.raises(ValueError, match="another training"),
            lock_workdir(tmp_path),
        ):
            pass
        process.send_signal(signal.SIGKILL)
    with lock_workdir(tmp_path):
        pass


def test_an_error_releases_the_lock(tmp_path):
    with pytest.raises(KeyError), lock_workdir(tmp_path):
        raise KeyError
    with lock_workdir(tmp_path):
        pass


def test_file_systems_without_locks_keep_no_run_out(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(os.strerror(38))

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock_workdir(tmp_path):
        pass
