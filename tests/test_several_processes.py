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
from mst_jax.training.distributed import HEARTBEAT_TIMEOUT_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SHARDED = "sharding.rules=((r'.*', ('data', 'model')),)"
STEPS = 40


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start the processes of a run; those that are left are killed at the end."""
    folder = tmp_path_factory.mktemp("processes")
    sizes = ["--num-train", "6", "--num-validation", "2", "--size", "48"]
    prepare.main(["shapes", "--data-dir", str(folder / "data"), *sizes])
    started = []

    def start(name, *changes, num_processes=2, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        values = ["batch=8", f"steps={STEPS}", f"data.data_dir={folder / 'data'}"]
        words = [f"--config.{value}" for value in [*values, *changes]]
        flags = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 "
            f"--xla_force_host_platform_device_count={8 // num_processes}"
        )
        processes = []
        for process_id in range(num_processes):
            command = [sys.executable, "-m", "mst_jax.train"]
            command += ["--workdir", str(folder / name)]
            command += ["--config", "tests/helpers/tiny_config.py", *words]
            if num_processes > 1 and not environment:
                command += ["--coordinator", f"127.0.0.1:{port}"]
                command += ["--num-processes", "2", "--process-id", str(process_id)]
            own_variables = {
                key: value.format(process_id=process_id)
                for key, value in environment.items()
            }
            log = (folder / f"{name}.{process_id}.log").open("ab")
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ
                | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
                | own_variables,
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


def read_metrics(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def check_same_run(workdir, single_process):
    """Check the same log and, up to rounding and its effect on Adam, the same model."""
    rows, expected_rows = read_metrics(workdir), read_metrics(single_process)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert abs(row["loss"] - expected_row["loss"]) < 1e-5, row["step"]
    kernel, expected = (
        mst_jax.load(path).params["decoder"]["logits"]["kernel"]
        for path in (workdir, single_process)
    )
    np.testing.assert_allclose(kernel, expected, atol=1e-4)


@pytest.fixture(scope="module")
def single_process(start):
    workdir, processes = start("single_process", num_processes=1)
    assert end(processes) == [0]
    return workdir


def log_of(workdir, process_id):
    return workdir.with_name(f"{workdir.name}.{process_id}.log").read_text()


def wait_for(path, processes):
    deadline = time.monotonic() + 600
    while not path.exists():
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_make_the_run_of_one(start, single_process):
    """Detected as under Slurm, which hides all GPUs but one from each process."""
    slurm = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": "{process_id}",
        "SLURM_LOCALID": "{process_id}",
    }
    workdir, processes = start("two", SHARDED, **slurm)
    assert end(processes) == [0, 0], log_of(workdir, 0)
    check_same_run(workdir, single_process)
    positions = sorted((workdir / "checkpoints" / str(STEPS) / "data").glob("*.json"))
    assert [path.name for path in positions] == [
        "process_0-of-2.json",
        "process_1-of-2.json",
    ]


@pytest.mark.parametrize("lost", [0, 1])
def test_if_one_process_is_killed_the_other_ends_and_the_run_resumes(
    start, single_process, lost
):
    """It resumes in one process, which has all eight devices and replicates the state."""
    workdir, processes = start(f"lost{lost}", SHARDED)
    wait_for(workdir / "checkpoints" / "4" / "commit_success.txt", processes)
    processes[lost].send_signal(signal.SIGKILL)
    codes = end(processes, seconds=2 * HEARTBEAT_TIMEOUT_SECONDS)
    assert codes[lost] == -signal.SIGKILL and codes[1 - lost] not in (0, None)
    log = log_of(workdir, 1 - lost)
    assert "another process was lost" in log or "another task died" in log
    assert not (workdir / "checkpoints" / str(STEPS)).exists(), "killed too late"
    workdir, processes = start(workdir.name, num_processes=1)
    assert end(processes) == [0], log_of(workdir, 0)
    check_same_run(workdir, single_process)


def test_if_one_process_is_stopped_both_save_and_resume(start, single_process):
    workdir, processes = start("stopped", SHARDED)
    wait_for(workdir / "checkpoints" / "4" / "commit_success.txt", processes)
    processes[1].send_signal(signal.SIGTERM)
    assert end(processes) == [75, 75], log_of(workdir, 0)
    last = read_metrics(workdir)[-1]["step"]
    assert last < STEPS and (workdir / "checkpoints" / str(last)).exists()
    workdir, processes = start("stopped", SHARDED)
    assert end(processes) == [0, 0], log_of(workdir, 0)
    check_same_run(workdir, single_process)
