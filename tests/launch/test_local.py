import os
import signal
import subprocess
import time

import pytest

from tests.helpers.fake_commands import LAUNCH, FakeCommands

TRAIN = ("--", "--config", "c.py", "--workdir", "my runs/a")
CALL = ["python", "-m", "mst_jax.train", "--config", "c.py", "--workdir", "my runs/a"]


@pytest.fixture
def fakes(tmp_path):
    return FakeCommands(tmp_path, "python")


def run(fakes, *flags):
    return fakes.run("local.sh", "--python", "python", *flags, *TRAIN)


def test_dry_run_prints_the_command_and_runs_nothing(fakes):
    process = run(fakes, "--dry-run")
    assert process.returncode == 0
    assert (
        process.stdout
        == "python -m mst_jax.train --config c.py --workdir 'my runs/a'\n"
    )
    assert fakes.calls == []


def test_memory_has_large_pages_unless_the_environment_says_otherwise(
    fakes, monkeypatch
):
    script = '#!/usr/bin/env bash\necho "$GLIBC_TUNABLES" >>"$FAKES/tunables"\n'
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    (fakes.folder / "python").write_text(script)
    run(fakes)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    run(fakes)
    values = (fakes.folder / "tunables").read_text().split()
    assert values == ["glibc.malloc.hugetlb=1", "glibc.malloc.hugetlb=0"]


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
def test_only_a_preempted_run_is_restarted(fakes, codes, restarts, calls, code):
    fakes.set_results("python", *map(str, codes))
    process = run(fakes, f"--restarts={restarts}")
    assert process.returncode == code
    assert fakes.calls == [CALL] * calls
    gives_up = f"--restarts {restarts}; the same command resumes it" in process.stderr
    assert gives_up == (code == 75)


# A fake training that logs the signals it gets, saves and exits; two signals save once.
SAVING = """#!/usr/bin/env bash
trap 'code=75; echo TERM >>"$FAKES/signals"' TERM
trap 'code=130; echo INT >>"$FAKES/signals"' INT
touch "$FAKES/started"
for ((i = 0; i < 100; i++)); do
  [[ -z ${code-} ]] || { sleep 0.3; echo saved >>"$FAKES/signals"; exit "$code"; }
  sleep 0.05
done
"""


@pytest.mark.parametrize(
    ("signal_number", "code", "times"),
    [(signal.SIGTERM, 75, 1), (signal.SIGTERM, 75, 2), (signal.SIGINT, 130, 1)],
)
def test_signals_reach_the_training_and_nothing_is_restarted(
    tmp_path, signal_number, code, times
):
    fakes = FakeCommands(tmp_path)
    python = tmp_path / "python"
    python.write_text(SAVING)
    python.chmod(0o700)
    command = [str(LAUNCH / "local.sh"), "--python", "python", *TRAIN]
    script = subprocess.Popen(command, env=fakes.environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for _ in range(times):
        script.send_signal(signal_number)
        time.sleep(0.15)
    assert script.wait(30) == code
    signals = (tmp_path / "signals").read_text().split()
    assert signals == [signal_number.name.removeprefix("SIG")] * times + ["saved"]
    assert os.listdir(tmp_path).count("calls") == 0
