import json
import os
import signal
import subprocess
import sys
import time

import pytest

# A training process: for each line it reads it draws a batch and prints the ids of its
# workers.
TRAINING_SCRIPT = """
import json, multiprocessing, signal, sys

import numpy as np

from mst_jax.data.example import Example
from mst_jax.data.pipeline import PipelineOptions, training_batches

if __name__ == "__main__":
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: None)
    layers = np.ones((1, 8, 8), np.uint16)
    image = np.zeros((8, 8, 3), np.uint8)
    examples = [Example(str(k), image, layers) for k in range(9)]
    options = PipelineOptions(num_workers=2)
    batches = training_batches(examples, options, batch_size=2, crop_size=8, seed=0)
    batches.start_prefetch()
    print("started", flush=True)
    for _ in sys.stdin:
        next(batches)
        pids = [child.pid for child in multiprocessing.active_children()]
        print(json.dumps(pids), flush=True)
    batches.close()
"""


@pytest.fixture
def training_process(tmp_path):
    """A training process in a group of its own, whose workers are starting."""
    script = tmp_path / "training.py"
    script.write_text(TRAINING_SCRIPT)
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen(
        [sys.executable, str(script)],
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        **pipes,
    ) as process:
        try:
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


def draw_batch(process):
    """Let the process draw a batch; return the ids of its workers."""
    process.stdin.write("draw\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where no process reaps orphans, an ended process stays as a zombie.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith(b"Z")


def test_workers_ignore_ctrl_c_and_sigterm(training_process):
    for _ in range(20):  # while they start
        os.killpg(training_process.pid, signal.SIGINT)
        os.killpg(training_process.pid, signal.SIGTERM)
        time.sleep(0.05)
    worker_pids = draw_batch(training_process)
    assert len(worker_pids) == 2
    os.killpg(training_process.pid, signal.SIGINT)
    os.killpg(training_process.pid, signal.SIGTERM)
    for _ in range(12):  # more than were prefetched
        assert sorted(draw_batch(training_process)) == sorted(worker_pids)
    training_process.stdin.close()
    assert training_process.wait(30) == 0


def test_workers_exit_when_their_parent_is_killed(training_process):
    worker_pids = draw_batch(training_process)
    assert len(worker_pids) == 2 and all(is_alive(pid) for pid in worker_pids)
    training_process.kill()
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in worker_pids):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.1)
