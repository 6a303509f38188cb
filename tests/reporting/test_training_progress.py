"""What a run shows on stderr: the wait for the first step, then a bar."""

import time

import jax.numpy as jnp

from mst_jax.reporting import training_progress
from mst_jax.reporting.training_progress import TrainingProgress


def test_the_bar_opens_after_the_first_step(capsys):
    with TrainingProgress(is_shown=True) as progress:
        progress.write("devices: 1 x cpu")
        progress.write(None)
        progress.start_steps(title="runs/a", num_steps=12, first_step=8)
        assert progress._bar is None
        progress.show_metrics({"loss": 1.0, "iou": 0.5})  # nothing to show yet
        progress.finish_step(jnp.ones(()))
        bar = progress._bar
        assert bar is not None
        assert (bar.n, bar.initial, bar.total) == (9, 9, 12)
        progress.finish_step(jnp.ones(()))
        assert bar.n == 10
        progress.show_metrics({"loss": 1.0, "iou": 0.5})
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["devices: 1 x cpu", training_progress.COMPILE_TEXT]
    assert lines[2].startswith("first step done after 00:0")
    assert "runs/a" in lines[-1] and "loss=1.0000" in lines[-1]


def test_the_time_of_the_first_step_is_reported_until_it_is_done(capsys, monkeypatch):
    monkeypatch.setattr(training_progress, "LINE_SECONDS", 0.01)
    progress = TrainingProgress(is_shown=True)
    progress.start_steps(title="runs/a", num_steps=2, first_step=0)
    time.sleep(0.2)
    assert "compiling: 00:00" in capsys.readouterr().err
    progress.close()
    time.sleep(0.1)
    capsys.readouterr()
    time.sleep(0.1)
    assert not capsys.readouterr().err


def test_a_finished_run_waits_for_nothing(capsys):
    progress = TrainingProgress(is_shown=True)
    progress.start_steps(title="runs/a", num_steps=2, first_step=2)
    progress.close()
    assert not capsys.readouterr().err


def test_other_processes_write_nothing(capsys):
    with TrainingProgress(is_shown=False) as progress:
        progress.write("devices")
        progress.start_steps(title="runs/a", num_steps=2, first_step=0)
        progress.finish_step(jnp.ones(()))
        progress.finish_step(jnp.ones(()))
    assert not capsys.readouterr().err
