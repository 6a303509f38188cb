import os
import signal
import subprocess
import time

import pytest

from tests.helpers.launch_stage import LAUNCH, Stage

TRAIN = ("--", "--config", "c.py", "--workdir", "my runs/a")
CALL = ["python", "-m", "mst_jax.train", "--config", "c.py", "--workdir", "my runs/a"]


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path, "python")


def run(stage, *flags):
    return stage.run("local.sh", "--python", "python", *flags, *TRAIN)


def test_a_dry_run_prints_the_command_and_runs_nothing(stage):
    done = run(stage, "--dry-run")
    assert done.returncode == 0
    assert (
        done.stdout == "python -m mst_jax.train --config c.py --workdir 'my runs/a'\n"
    )
    assert stage.calls == []


def test_memory_comes_in_large_pages_unless_told_otherwise(stage, monkeypatch):
    tell = '#!/usr/bin/env bash\necho "$GLIBC_TUNABLES" >>"$STAGE/tunables"\n'
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    (stage.folder / "python").write_text(tell)
    run(stage)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    run(stage)
    said = (stage.folder / "tunables").read_text().split()
    assert said == ["glibc.malloc.hugetlb=1", "glibc.malloc.hugetlb=0"]


@pytest.mark.parametrize(
    ("codes", "restarts", "calls", "code"),
    [
        ([0], 5, 1, 0),
        ([75, 75, 0], 5, 3, 0),
        ([75, 1, 0], 5, 2, 1),
        ([2], 5, 1, 2),
        ([130, 0], 5, 1, 130),
        ([137, 0], 5, 1, 137),
        ([75] * 9, 2, 3, 75),
        ([75], 0, 1, 75),
    ],
)
def test_only_a_preempted_run_is_started_again(stage, codes, restarts, calls, code):
    stage.part("python", *map(str, codes))
    done = run(stage, f"--restarts={restarts}")
    assert done.returncode == code
    assert stage.calls == [CALL] * calls
    gave_up = f"--restarts {restarts}; the same command goes on" in done.stderr
    assert gave_up == (code == 75)


# A train that saves when it is told to stop, and says by which signal; twice is once.
SAVING = """#!/usr/bin/env bash
trap 'code=75; echo TERM >>"$STAGE/heard"' TERM
trap 'code=130; echo INT >>"$STAGE/heard"' INT
touch "$STAGE/started"
for ((i = 0; i < 100; i++)); do
  [[ -z ${code-} ]] || { sleep 0.3; echo saved >>"$STAGE/heard"; exit "$code"; }
  sleep 0.05
done
"""


@pytest.mark.parametrize(
    ("number", "code", "times"),
    [(signal.SIGTERM, 75, 1), (signal.SIGTERM, 75, 2), (signal.SIGINT, 130, 1)],
)
def test_a_signal_goes_through_once_and_nothing_is_started_again(
    tmp_path, number, code, times
):
    stage = Stage(tmp_path)
    python = tmp_path / "python"
    python.write_text(SAVING)
    python.chmod(0o700)
    call = [str(LAUNCH / "local.sh"), "--python", "python", *TRAIN]
    script = subprocess.Popen(call, env=stage.environment, stderr=subprocess.PIPE)
    patience = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert time.monotonic() < patience
        time.sleep(0.01)
    for _ in range(times):
        script.send_signal(number)
        time.sleep(0.15)
    assert script.wait(30) == code
    heard = (tmp_path / "heard").read_text().split()
    assert heard == [number.name.removeprefix("SIG")] * times + ["saved"]
    assert os.listdir(tmp_path).count("calls") == 0
