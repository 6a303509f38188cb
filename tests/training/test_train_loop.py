"""The loop with a model of one number and batches of three."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mst_jax.structs import Batch, TrainState
from mst_jax.training import metrics_log, train_loop
from mst_jax.training.train_state import start_state


def batches(first=0):
    for number in itertools.count(first):
        pixels = np.zeros((3, 2, 2), bool)
        image = np.full((3, 2, 2, 3), number, np.uint8)
        yield {"image": image, "target": pixels, "valid": pixels, "others": pixels}


@jax.jit
def update(state, batch):
    """The loss of step n, counted from 1, is n - 1; from 100 on it is not a number."""
    loss = batch.image.astype(jnp.float32).mean()
    loss = jnp.where(loss >= 100, jnp.nan, loss)
    params = {"sum": state.params["sum"] + loss}
    after = TrainState(state.step + 1, params, state.optimizer, state.key)
    one = jnp.float32(1)
    norms = {"gradient_norm": one, "parameter_norm": one}
    return after, {"loss": loss, "learning_rate": loss, **norms}


def play(*, start=0, steps, log_every, checkpoint_every, should_stop=lambda: False):
    state = start_state({"sum": jnp.float32(0)}, optax.identity(), jax.random.key(0))
    state = dataclasses.replace(state, step=jnp.int32(start))
    logs, saved = [], []
    end = train_loop.run(
        update,
        state,
        batches(start),
        steps=steps,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        on_log=lambda step, _, means: logs.append((step, means["loss"])),
        on_checkpoint=lambda step, state, _: saved.append((step, int(state.step))),
        should_stop=should_stop,
    )
    return end, logs, saved


def test_windows_end_at_the_log_at_checkpoints_and_at_the_end():
    end, logs, saved = play(steps=7, log_every=2, checkpoint_every=3)
    # Losses 0 1 | 2 | 3 | 4 5 | 6: windows end at 2, 3 (checkpoint), 4, 6 and 7.
    assert logs == [(2, 0.5), (3, 2.0), (4, 3.0), (6, 4.5), (7, 6.0)]
    assert saved == [(3, 3), (6, 6), (7, 7)]
    assert int(end.step) == 7 and float(end.params["sum"]) == 21.0


def test_a_resumed_log_is_the_rest_of_the_unbroken_one():
    _, whole, _ = play(steps=8, log_every=3, checkpoint_every=4)
    _, rest, _ = play(start=4, steps=8, log_every=3, checkpoint_every=4)
    assert whole[-len(rest) :] == rest


def test_a_stop_saves_and_ends():
    asked = iter([False, False, True])
    end, logs, saved = play(
        steps=50, log_every=10, checkpoint_every=20, should_stop=lambda: next(asked)
    )
    assert int(end.step) == 3
    assert logs == [(3, 1.0)] and saved == [(3, 3)]


def test_a_finished_run_does_nothing():
    end, logs, saved = play(start=5, steps=5, log_every=1, checkpoint_every=1)
    assert (int(end.step), logs, saved) == (5, [], [])


def test_no_checkpoint_is_made_of_a_run_that_diverged():
    saved = []
    state = start_state({"sum": jnp.float32(0)}, optax.identity(), jax.random.key(0))
    with pytest.raises(metrics_log.Diverged, match="loss is nan at step 3"):
        train_loop.run(
            update,
            state,
            batches(98),
            steps=50,
            log_every=10,
            checkpoint_every=5,
            on_log=lambda *_: None,
            on_checkpoint=lambda step, *_: saved.append(step),
        )
    assert saved == []


def test_batches_become_structs():
    seen = []

    def spy(state, batch):
        seen.append(batch)
        return update(state, batch)

    train_loop.run(
        spy,
        start_state({"sum": jnp.float32(0)}, optax.identity(), jax.random.key(0)),
        batches(),
        steps=1,
        log_every=1,
        checkpoint_every=1,
        on_log=lambda *_: None,
        on_checkpoint=lambda *_: None,
    )
    assert isinstance(seen[0], Batch)


def test_watchers_are_called_when_due_between_log_and_checkpoint():
    calls = []
    state = start_state({"sum": jnp.float32(0)}, optax.identity(), jax.random.key(0))

    def note(name):
        return lambda step, state, said: calls.append((name, step, int(state.step)))

    def look(step, state, batch):
        calls.append(("look", step, int(batch["image"][0, 0, 0, 0])))

    train_loop.run(
        update,
        state,
        batches(),
        steps=4,
        log_every=2,
        checkpoint_every=4,
        on_log=note("log"),
        on_checkpoint=note("save"),
        watchers=[(train_loop.every(4), look), (lambda step: step == 1, look)],
    )
    # The batch of step n is n - 1.
    assert calls == [
        ("look", 1, 0),
        ("log", 2, 2),
        ("log", 4, 4),
        ("look", 4, 3),
        ("save", 4, 4),
    ]
    assert not any(train_loop.every(0)(step) for step in range(5))
