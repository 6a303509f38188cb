"""The loop with a model of one number and batches of three."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mst_jax.structs import Batch
from mst_jax.training import metrics_log
from mst_jax.training.train_loop import (
    LoopOptions,
    StepCallback,
    every_n_steps,
    run_train_loop,
)
from mst_jax.training.train_state import init_train_state


def make_batches(first_value=0):
    """Yield batches whose pixels are `first_value`, `first_value + 1` ..."""
    for value in itertools.count(first_value):
        pixels = np.zeros((3, 2, 2), bool)
        image = np.full((3, 2, 2, 3), value, np.uint8)
        yield {"image": image, "target": pixels, "valid": pixels, "others": pixels}


@jax.jit
def jitted_step(state, batch):
    loss = batch.image.astype(jnp.float32).mean()
    loss = jnp.where(loss >= 100, jnp.nan, loss)
    params = {"sum": state.params["sum"] + loss}
    norms = dict.fromkeys(("gradient_norm", "parameter_norm"), jnp.float32(1))
    new_state = dataclasses.replace(state, step=state.step + 1, params=params)
    return new_state, {"loss": loss, "learning_rate": loss, **norms}


def train_step(state, batch):
    """The loss of step n, counted from 1, is n - 1; from 100 on it is not a number."""
    return jitted_step(state, Batch(**batch))


def make_state(step=0):
    state = init_train_state(
        {"sum": jnp.float32(0)}, optax.identity(), jax.random.key(0)
    )
    return dataclasses.replace(state, step=jnp.int32(step))


def run_loop(*, first_step=0, should_stop=lambda: 0, **options):
    """Return the last state, the logged losses and the steps of the checkpoints."""
    logs, checkpoints = [], []
    state = run_train_loop(
        train_step,
        make_state(first_step),
        make_batches(first_step),
        LoopOptions(**options),
        on_log=lambda step, _, means: logs.append((step, means["loss"])),
        on_checkpoint=lambda step, state, _: checkpoints.append(
            (step, int(state.step))
        ),
        should_stop=should_stop,
    )
    return state, logs, checkpoints


def test_windows_end_at_logs_checkpoints_and_the_last_step():
    state, logs, checkpoints = run_loop(num_steps=7, log_every=2, checkpoint_every=3)
    # Losses 0 1 | 2 | 3 | 4 5 | 6: windows end at 2, 3 (checkpoint), 4, 6 and 7.
    assert logs == [(2, 0.5), (3, 2.0), (4, 3.0), (6, 4.5), (7, 6.0)]
    assert checkpoints == [(3, 3), (6, 6), (7, 7)]
    assert int(state.step) == 7 and float(state.params["sum"]) == 21.0


def test_the_log_of_a_resumed_run_continues_the_uninterrupted_one():
    options = dict(num_steps=8, log_every=3, checkpoint_every=4)
    _, all_logs, _ = run_loop(**options)
    _, resumed_logs, _ = run_loop(first_step=4, **options)
    assert all_logs[-len(resumed_logs) :] == resumed_logs


def test_a_stop_saves_and_ends_the_run():
    values = iter([0, 0, 75])
    state, logs, checkpoints = run_loop(
        num_steps=50,
        log_every=10,
        checkpoint_every=20,
        should_stop=lambda: next(values),
    )
    assert int(state.step) == 3
    assert logs == [(3, 1.0)] and checkpoints == [(3, 3)]


def test_a_finished_run_does_nothing():
    state, logs, checkpoints = run_loop(
        first_step=5, num_steps=5, log_every=1, checkpoint_every=1
    )
    assert (int(state.step), logs, checkpoints) == (5, [], [])


def test_a_diverged_run_saves_no_checkpoint():
    checkpoints = []
    with pytest.raises(metrics_log.DivergedError, match="loss is nan at step 3"):
        run_train_loop(
            train_step,
            make_state(),
            make_batches(98),
            LoopOptions(num_steps=50, log_every=10, checkpoint_every=5),
            on_log=lambda *_: None,
            on_checkpoint=lambda step, *_: checkpoints.append(step),
        )
    assert checkpoints == []


def test_callbacks_run_when_due_between_log_and_checkpoint():
    calls = []

    def record(name):
        return lambda step, state, _: calls.append((name, step, int(state.step)))

    def record_batch(step, state, batch):
        calls.append(("callback", step, int(batch["image"][0, 0, 0, 0])))

    run_train_loop(
        train_step,
        make_state(),
        make_batches(),
        LoopOptions(num_steps=4, log_every=2, checkpoint_every=4),
        on_log=record("log"),
        on_checkpoint=record("checkpoint"),
        callbacks=[
            StepCallback(every_n_steps(4), record_batch),
            StepCallback(lambda step: step == 1, record_batch),
        ],
    )
    # The batch of step n is n - 1.
    assert calls == [
        ("callback", 1, 0),
        ("log", 2, 2),
        ("log", 4, 4),
        ("callback", 4, 3),
        ("checkpoint", 4, 4),
    ]
    assert not any(every_n_steps(0)(step) for step in range(5))
