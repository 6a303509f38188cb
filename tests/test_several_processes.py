"""Two processes of four devices each, on this machine: one run, as of one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mst_jax
from mst_jax import prepare
from mst_jax.training.distributed import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SPLIT = "parallel.rules=((r'.*', ('data', 'model')),)"
STEPS = 40


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts the processes of a run; whatever is left of them is ended."""
    folder = tmp_path_factory.mktemp("processes")
    sizes = ["--num-train", "6", "--num-validation", "2", "--size", "48"]
    prepare.main(["shapes", "--data_dir", str(folder / "data"), *sizes])
    started = []

    def start(name, *changes, num=2, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        values = ["batch=8", f"steps={STEPS}", f"data.data_dir={folder / 'data'}"]
        words = [f"--config.{value}" for value in [*values, *changes]]
        flags = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 "
            f"--xla_force_host_platform_device_count={8 // num}"
        )
        processes = []
        for number in range(num):
            call = [
                sys.executable,
                "-m",
                "mst_jax.train",
                "--workdir",
                str(folder / name),
            ]
            call += ["--config", "tests/helpers/tiny_config.py", *words]
            if num > 1 and not environment:
                call += ["--coordinator", f"127.0.0.1:{port}", "--num_processes", "2"]
                call += ["--process_id", str(number)]
            own = {
                key: value.format(number=number) for key, value in environment.items()
            }
            log = (folder / f"{name}.{number}.log").open("ab")
            process = subprocess.Popen(
                call,
                cwd=ROOT,
                env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | own,
                stdout=log,
                stderr=log,
            )
            processes.append(process)
        started.extend(processes)
        return folder / name, processes

    yield start
    for process in started:
        process.kill()


def end(processes, *, seconds=600):
    return [process.wait(timeout=seconds) for process in processes]


def metrics(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def check_same_run(workdir, unbroken):
    """The same log and, up to rounding and what Adam makes of it, the same model."""
    rows, wanted = metrics(workdir), metrics(unbroken)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row, want in zip(rows, wanted, strict=True):
        assert abs(row["loss"] - want["loss"]) < 1e-5, row["step"]
    name = ("decoder", "logits", "kernel")
    one, other = (mst_jax.load(path).params for path in (workdir, unbroken))
    for key in name:
        one, other = one[key], other[key]
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.fixture(scope="module")
def unbroken(start):
    workdir, processes = start("unbroken", num=1)
    assert end(processes) == [0]
    return workdir


def log_of(workdir, number):
    return workdir.with_name(f"{workdir.name}.{number}.log").read_text()


def wait_for(path, processes):
    patience = time.monotonic() + 600
    while not path.exists():
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_two_processes_are_one_run(start, unbroken):
    """Found as under Slurm, which would hide all GPUs but one from each."""
    slurm = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": "{number}",
        "SLURM_LOCALID": "{number}",
    }
    workdir, processes = start("two", SPLIT, **slurm)
    assert end(processes) == [0, 0], log_of(workdir, 0)
    check_same_run(workdir, unbroken)
    held = sorted((workdir / "checkpoints" / str(STEPS) / "data").glob("*.json"))
    assert [path.name for path in held] == [
        "process_0-of-2.json",
        "process_1-of-2.json",
    ]


@pytest.mark.parametrize("lost", [0, 1])
def test_if_one_is_killed_the_other_ends_and_the_run_goes_on(start, unbroken, lost):
    """It goes on in one process, which has all eight devices and copies the state."""
    workdir, processes = start(f"lost{lost}", SPLIT)
    wait_for(workdir / "checkpoints" / "4" / "commit_success.txt", processes)
    processes[lost].send_signal(signal.SIGKILL)
    codes = end(processes, seconds=2 * PATIENCE)
    assert codes[lost] == -signal.SIGKILL and codes[1 - lost] not in (0, None)
    said = log_of(workdir, 1 - lost)
    assert "another process was lost" in said or "another task died" in said
    assert not (workdir / "checkpoints" / str(STEPS)).exists(), "killed too late"
    workdir, processes = start(workdir.name, num=1)
    assert end(processes) == [0], log_of(workdir, 0)
    check_same_run(workdir, unbroken)


def test_if_one_is_told_to_stop_both_save_and_go_on(start, unbroken):
    workdir, processes = start("told", SPLIT)
    wait_for(workdir / "checkpoints" / "4" / "commit_success.txt", processes)
    processes[1].send_signal(signal.SIGTERM)
    assert end(processes) == [75, 75], log_of(workdir, 0)
    last = metrics(workdir)[-1]["step"]
    assert last < STEPS and (workdir / "checkpoints" / str(last)).exists()
    workdir, processes = start("told", SPLIT)
    assert end(processes) == [0, 0], log_of(workdir, 0)
    check_same_run(workdir, unbroken)
