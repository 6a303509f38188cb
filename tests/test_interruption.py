"""Stopped, killed, out of disk space: a run resumes bit-exactly.

The points of interruption are random; a failing test prints its seed.
"""

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from mst_jax import train
from mst_jax.checkpoints import store
from mst_jax.training import metrics_log, train_loop
from mst_jax.training.preemption import EXIT_FAILED
from tests.helpers.tiny_run import (
    assert_equal_runs,
    draw_scenes,
    exit_message,
    make_command,
    read_metrics,
)

TERM, KILL = signal.SIGTERM, signal.SIGKILL


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    data_dir = draw_scenes(tmp_path_factory.mktemp("data"))
    return lambda workdir, *more: make_command(data_dir, workdir, "steps=24", *more)


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train.main(command(workdir))
    return workdir


def interrupt(arguments, workdir, signal_number, rng, *, latest):
    """Run the command as users do, and send it a signal after a step up to the latest.

    Its whole process group gets the signal, as from schedulers. If the run ends before
    the signal, it is reset and interrupted earlier.
    """
    log, backup = workdir / "metrics.jsonl", workdir.with_name("backup")
    first = max(store.list_steps(workdir), default=0)
    # As the run itself will: new lines are new steps.
    metrics_log.truncate_after(log, step=first)
    shutil.copytree(workdir, backup)
    for last in range(latest, first, -1):
        step, delay = rng.randint(first + 1, last), rng.uniform(0, 0.05)
        print(f"signal {signal_number} {delay:.3f} s after step {step}")
        command = [sys.executable, "-m", "mst_jax.train", *arguments]
        pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with subprocess.Popen(command, start_new_session=True, **pipes) as process:
            deadline = time.monotonic() + 300
            while not log.exists() or log.read_bytes().count(b"\n") < step:
                assert process.poll() is None, process.stderr.read().decode()
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(delay)
            os.killpg(process.pid, signal_number)
            _, error = process.communicate(timeout=120)
        assert b"Traceback" not in error, error.decode()
        if process.returncode:
            break
        shutil.rmtree(workdir)
        shutil.copytree(backup, workdir)
    shutil.rmtree(backup)
    assert process.returncode == (75 if signal_number == TERM else -KILL)
    if signal_number == TERM:
        assert max(store.list_steps(workdir)) == log.read_bytes().count(b"\n")


@pytest.mark.slow
def test_a_run_resumes_bit_exactly(uninterrupted, command, tmp_path):
    rng = random.Random(seed := random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    workdir = tmp_path / "run"
    workdir.mkdir()
    for signal_number, latest in zip(rng.sample([TERM, KILL], 2), (7, 20), strict=True):
        interrupt(command(workdir), workdir, signal_number, rng, latest=latest)
    train.main(command(workdir))
    assert_equal_runs(workdir, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_run_resumes_bit_exactly_from_any_step(
    uninterrupted, command, tmp_path, seed
):
    """Interrupted once, half of the runs with processes that load data."""
    rng = random.Random(seed)
    signal_number, num_workers = (TERM, KILL)[seed % 2], 2 * (seed // 2 % 2)
    workdir = tmp_path / "run"
    workdir.mkdir()
    arguments = command(workdir, f"data.num_workers={num_workers}")
    interrupt(arguments, workdir, signal_number, rng, latest=20)
    train.main(command(workdir))
    assert_equal_runs(workdir, uninterrupted)


def stop_while_compiling(patch):
    run_train_loop = train_loop.run_train_loop

    def stop_and_run(train_step, *args, **kwargs):
        def stopped_step(*step_args):
            signal.raise_signal(TERM)
            return train_step(*step_args)

        return run_train_loop(stopped_step, *args, **kwargs)

    patch.setattr(train_loop, "run_train_loop", stop_and_run)


def stop_twice_while_saving(patch):
    save_checkpoint = store.save_checkpoint

    def save_and_stop(manager, step, *args, **kwargs):
        save_checkpoint(manager, step, *args, **kwargs)
        if step == 4:
            signal.raise_signal(TERM)
            signal.raise_signal(TERM)

    patch.setattr(store, "save_checkpoint", save_and_stop)


def fill_disk_at_a_log(patch):
    append_metrics = metrics_log.append_metrics

    def append_some(path, step, means):
        if step == 7:
            raise OSError(28, "No space left on device", str(path))
        append_metrics(path, step, means)

    patch.setattr(metrics_log, "append_metrics", append_some)


@pytest.mark.slow
def test_the_end_is_the_same_after_stops_and_a_full_disk(
    uninterrupted, command, tmp_path, monkeypatch, capsys
):
    for interruption, code, saved_steps in (
        (stop_while_compiling, 75, [1]),
        (stop_twice_while_saving, 75, [1, 4, 5]),
        (fill_disk_at_a_log, EXIT_FAILED, [1, 4, 5]),
    ):
        with monkeypatch.context() as patch:
            interruption(patch)
            message = exit_message(capsys, command(tmp_path), code)
        assert "the same command resumes " in message
        assert store.list_steps(tmp_path) == saved_steps
    assert f"the run in {tmp_path} failed: " in message
    assert "No space left on device" in message
    train.main(command(tmp_path))
    assert_equal_runs(tmp_path, uninterrupted)


@pytest.fixture
def small_disk(tmp_path):
    """A disk with space for one checkpoint."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    # Errors of the failed write, which are in reference cycles, keep files open.
    gc.collect()
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(
    uninterrupted, command, small_disk, tmp_path, capsys
):
    workdir = small_disk / "run"
    message = exit_message(capsys, command(workdir), EXIT_FAILED)
    assert "checkpoints: the disk is full; after that is corrected, the same" in message
    larger_disk = shutil.copytree(workdir, tmp_path / "run")
    train.main(command(larger_disk))
    assert_equal_runs(larger_disk, uninterrupted)


@pytest.fixture
def read_only(tmp_path):
    """A folder on a read-only disk."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if os.geteuid():
        folder.chmod(0o500)
        yield folder
        return
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("inside", [".", "new/run"])
def test_a_workdir_that_cannot_be_written_is_refused(
    command, read_only, capsys, inside
):
    message = exit_message(capsys, command(read_only / inside), 2)
    assert f"the folder {read_only} is not writable; choose another" in message


COUNT_COMPILATIONS = """
import sys
import jax
from mst_jax import train
from mst_jax.training import train_loop
counts = dict.fromkeys(("cache_misses", "cache_hits"), 0)
def count(name, **_):
    name = name.rpartition("/")[2]
    if name in counts:
        counts[name] += 1
jax.monitoring.register_event_listener(count)
if sys.argv[1] == "stop":  # after step 6
    run_train_loop, steps = train_loop.run_train_loop, iter(range(1, 100))
    train_loop.run_train_loop = lambda *args, **options: run_train_loop(
        *args, **(options | {"should_stop": lambda: next(steps) == 6})
    )
try:
    train.main(sys.argv[2:])
except SystemExit as error:
    assert sys.argv[1] == "stop" and error.code == 75, error.code
print(counts["cache_misses"], counts["cache_hits"])
"""


@pytest.mark.slow
def test_a_resumed_run_compiles_nothing(command, tmp_path):
    """In a new process every program comes from the cache of the interrupted run."""
    environment = os.environ | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    counts = []
    for mode in ("stop", "resume"):
        # Without rounds the step compiles in half the time.
        words = command(tmp_path / "run", "clicks.max_rounds=0")
        words += ["--compilation-cache", str(tmp_path / "cache")]
        process = subprocess.run(
            [sys.executable, "-c", COUNT_COMPILATIONS, mode, *words],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
        counts.append([int(number) for number in process.stdout.split()])
    (first_misses, _), (misses, hits) = counts
    assert first_misses > 5 and hits > 5
    assert misses == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run")][-1] == 24


@pytest.mark.slow
def test_a_run_resumes_with_another_dtype_and_remat(
    uninterrupted, command, tmp_path, capsys
):
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    changes = ["model.dtype=bfloat16", "model.remat=blocks", "steps=25", "log_every=2"]
    train.main(command(workdir, *changes))
    error = capsys.readouterr().err
    assert "config.model.dtype was None and is 'bfloat16'" in error
    assert "remark: config.log_every was 1 and is 2, config.model.remat was" in error
    assert read_metrics(workdir)[-1]["step"] == 25


@pytest.mark.slow
def test_another_learning_rate_resumes(uninterrupted, command, tmp_path, capsys):
    """It changes no array of the optimizer."""
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    train.main(command(workdir, "steps=25", "optimizer.learning_rate=1e-4"))
    assert "learning_rate was" in capsys.readouterr().err
    assert read_metrics(workdir)[-1]["step"] == 25
