import json
import os
import signal
import subprocess
import sys
import time

import pytest

# A training process: draws a batch for each line it reads and tells its workers' ids.
PARENT = """
import json, multiprocessing, signal, sys

import numpy as np

from mst_jax.data.example import Example
from mst_jax.data.pipeline import training_batches

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    layers = np.ones((1, 8, 8), np.uint16)
    source = [Example(str(k), np.zeros((8, 8, 3), np.uint8), layers) for k in range(9)]
    batches = training_batches(source, batch=2, crop=8, seed=0, num_workers=2)
    batches.start_prefetch()
    print("started", flush=True)
    for _ in sys.stdin:
        next(batches)
        pids = [child.pid for child in multiprocessing.active_children()]
        print(json.dumps(pids), flush=True)
    batches.close()
"""


@pytest.fixture
def training(tmp_path):
    """A training process in a group of its own, whose workers are starting."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
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


def draw(process):
    """Lets it draw a batch; the ids of its workers."""
    process.stdin.write("draw\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody collects orphans, what has ended stays as a zombie.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith(b"Z")


def test_neither_ctrl_c_nor_sigterm_reaches_the_workers(training):
    for _ in range(20):  # as they start
        os.killpg(training.pid, signal.SIGINT)
        os.killpg(training.pid, signal.SIGTERM)
        time.sleep(0.05)
    workers = draw(training)
    assert len(workers) == 2
    os.killpg(training.pid, signal.SIGINT)
    os.killpg(training.pid, signal.SIGTERM)
    for _ in range(12):  # more than lay ready
        assert sorted(draw(training)) == sorted(workers)
    training.stdin.close()
    assert training.wait(30) == 0


def test_workers_end_with_a_parent_that_is_killed(training):
    workers = draw(training)
    assert len(workers) == 2 and all(is_there(pid) for pid in workers)
    training.kill()
    end = time.monotonic() + 20
    while any(is_there(pid) for pid in workers):
        assert time.monotonic() < end, "workers live on"
        time.sleep(0.1)
