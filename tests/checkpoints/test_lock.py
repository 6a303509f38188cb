import fcntl
import os
import signal
import subprocess
import sys

import pytest

from mst_jax.checkpoints.lock import only_run


def test_a_second_run_is_kept_out_until_the_first_has_ended(tmp_path):
    workdir = tmp_path / "new" / "run"
    with only_run(workdir):
        with (
            pytest.raises(ValueError, match=r"another training is at work in .*run"),
            only_run(workdir),
        ):
            pass
        with only_run(tmp_path / "other"):
            pass
    with only_run(workdir):
        pass


def test_a_killed_run_leaves_no_lock_behind(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from mst_jax.checkpoints.lock import only_run\n"
        "with only_run(pathlib.Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    call = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ValueError, match="another training"), only_run(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    with only_run(tmp_path):
        pass


def test_an_error_ends_the_lock_too(tmp_path):
    with pytest.raises(KeyError), only_run(tmp_path):
        raise KeyError
    with only_run(tmp_path):
        pass


def test_without_locks_in_the_file_system_all_goes_on(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(os.strerror(38))

    monkeypatch.setattr(fcntl, "flock", flock)
    with only_run(tmp_path):
        pass
