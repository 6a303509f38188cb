"""Told to stop, killed, out of room: a run goes on as if nothing had happened.

The points are drawn anew each time; a failing test prints the seed of its own.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import mst_jax
from mst_jax import train
from mst_jax.checkpoints import store
from mst_jax.training import metrics_log, train_loop
from tests.helpers.tiny_run import draw_scenes, make_command, metrics

TERM, KILL = signal.SIGTERM, signal.SIGKILL


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    data_dir = draw_scenes(tmp_path_factory.mktemp("data"))
    return lambda workdir, *more: make_command(data_dir, workdir, "steps=24", *more)


@pytest.fixture(scope="module")
def unbroken(command, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    train.main(command(workdir))
    return workdir


def stopped(arguments):
    """Runs the command in this process; its exit code."""
    with pytest.raises(SystemExit) as exit_:
        train.main(arguments)
    return exit_.value.code


def refused(capsys, arguments, code):
    assert stopped(arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def interrupt(arguments, workdir, number, chance, *, latest):
    """Runs the command as users do, and sends it a signal at a step up to the latest.

    Everything in its group hears it, as schedulers have it. A run that ends before that
    is taken back and interrupted earlier.
    """
    log, begun = workdir / "metrics.jsonl", workdir.with_name("begun")
    first = max(store.steps_of(workdir), default=0)
    metrics_log.keep_until(
        log, step=first
    )  # as the run itself will: new lines are new steps
    shutil.copytree(workdir, begun)
    for last in range(latest, first, -1):
        step, delay = chance.randint(first + 1, last), chance.uniform(0, 0.05)
        print(f"signal {number} {delay:.3f} s after step {step}")
        call = [sys.executable, "-m", "mst_jax.train", *arguments]
        pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with subprocess.Popen(call, start_new_session=True, **pipes) as process:
            patience = time.monotonic() + 300
            while not log.exists() or log.read_bytes().count(b"\n") < step:
                assert process.poll() is None, process.stderr.read().decode()
                assert time.monotonic() < patience
                time.sleep(0.002)
            time.sleep(delay)
            os.killpg(process.pid, number)
            _, error = process.communicate(timeout=120)
        assert b"Traceback" not in error, error.decode()
        if process.returncode:
            break
        shutil.rmtree(workdir)
        shutil.copytree(begun, workdir)
    shutil.rmtree(begun)
    assert process.returncode == (75 if number == TERM else -KILL)
    if number == TERM:
        assert max(store.steps_of(workdir)) == log.read_bytes().count(b"\n")


def assert_equal(workdir, unbroken):
    assert metrics(workdir) == metrics(unbroken)
    end, want = mst_jax.load(workdir).params, mst_jax.load(unbroken).params
    jax.tree.map(np.testing.assert_array_equal, end, want)


def test_a_run_goes_on_bit_equal(unbroken, command, tmp_path):
    chance = random.Random(seed := random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    workdir = tmp_path / "run"
    workdir.mkdir()
    for number, latest in zip(chance.sample([TERM, KILL], 2), (7, 20), strict=True):
        interrupt(command(workdir), workdir, number, chance, latest=latest)
    train.main(command(workdir))
    assert_equal(workdir, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_run_goes_on_bit_equal_from_anywhere(unbroken, command, tmp_path, seed):
    """Broken once, half of the runs with processes that load data."""
    chance = random.Random(seed)
    number, workers = (TERM, KILL)[seed % 2], 2 * (seed // 2 % 2)
    workdir = tmp_path / "run"
    workdir.mkdir()
    arguments = command(workdir, f"data.num_workers={workers}")
    interrupt(arguments, workdir, number, chance, latest=20)
    train.main(command(workdir))
    assert_equal(workdir, unbroken)


def told_while_compiling(patch):
    run = train_loop.run

    def be_told_and_run(update, *arguments, **settings):
        def first(*given):
            signal.raise_signal(TERM)
            return update(*given)

        return run(first, *arguments, **settings)

    patch.setattr(train_loop, "run", be_told_and_run)


def told_twice_while_saving(patch):
    save = store.save

    def save_and_be_told(*arguments, **more):
        save(*arguments, **more)
        if arguments[1] == 4:
            signal.raise_signal(TERM)
            signal.raise_signal(TERM)

    patch.setattr(store, "save", save_and_be_told)


def no_room_for_the_log(patch):
    write_line = metrics_log.write_line

    def write_some(path, step, means):
        if step == 7:
            raise OSError(28, "No space left on device", str(path))
        write_line(path, step, means)

    patch.setattr(metrics_log, "write_line", write_some)


def test_whatever_happens_on_the_way_the_end_is_the_same(
    unbroken, command, tmp_path, monkeypatch, capsys
):
    for happens, code, saved in (
        (told_while_compiling, 75, [1]),
        (told_twice_while_saving, 75, [1, 4, 5]),
        (no_room_for_the_log, train.FAILED, [1, 4, 5]),
    ):
        with monkeypatch.context() as patch:
            happens(patch)
            message = refused(capsys, command(tmp_path), code)
        assert "the same command goes on" in message
        assert store.steps_of(tmp_path) == saved
    assert f"the run in {tmp_path} failed: " in message
    assert "No space left on device" in message
    train.main(command(tmp_path))
    assert_equal(tmp_path, unbroken)


def test_a_damaged_checkpoint_is_done_again(unbroken, command, tmp_path, capfd):
    """The last is cut off, the one before empty: both are named, nothing is lost."""
    workdir = shutil.copytree(unbroken, tmp_path / "run")
    *_, empty, cut = (
        workdir / "checkpoints" / str(step) for step in store.steps_of(workdir)
    )
    shutil.rmtree(empty)
    empty.mkdir()
    position = next((cut / "data").glob("process*"))
    position.write_bytes(position.read_bytes()[:-4])
    train.main(command(workdir))
    told = capfd.readouterr().err
    for folder in (empty, cut):
        assert f"checkpoint {folder} is damaged" in told
        assert (folder.with_name(f"{folder.name}.damaged")).exists()
    assert_equal(workdir, unbroken)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own with room for one checkpoint."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(
    unbroken, command, small_disk, tmp_path, capsys
):
    workdir = small_disk / "run"
    message = refused(capsys, command(workdir), train.FAILED)
    assert "checkpoints: the disk is full; when that is put right the same" in message
    more_room = shutil.copytree(workdir, tmp_path / "run")
    train.main(command(more_room))
    assert_equal(more_room, unbroken)


@pytest.fixture
def read_only(tmp_path):
    """A folder on a disk that may only be read."""
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
    message = refused(capsys, command(read_only / inside), 2)
    assert f"the folder {read_only} is not writable; choose another" in message


def test_two_trainings_in_one_workdir(unbroken, command, capsys, monkeypatch):
    """The second is refused at once; it has changed nothing of the first."""
    before = (unbroken / "metrics.jsonl").read_text()
    messages = []

    def run(_update, state, *_arguments, **_settings):
        messages.append(refused(capsys, command(unbroken, "seed=9"), 2))
        return state

    monkeypatch.setattr(train_loop, "run", run)
    train.main(command(unbroken))
    assert f"another training is at work in {unbroken}" in messages[0]
    assert (unbroken / "metrics.jsonl").read_text() == before
    assert store.read_config(unbroken)["seed"] == 0


def test_another_seed_is_named(unbroken, command, tmp_path, capfd):
    workdir = shutil.copytree(unbroken, tmp_path / "run")
    train.main(command(workdir, "seed=9"))
    told = capfd.readouterr().err
    assert "config.seed was 0 and is 9: the run in" in told
    assert "not as it would have without the change" in told
