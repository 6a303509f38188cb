"""Step, log, save, call back: the only long-lived loop."""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from mst_jax.structs import Batch, TrainState
from mst_jax.training import metrics_log
from mst_jax.training.telemetry import Clock
from mst_jax.training.train_step import StepFunction

# Steps that may be under way at once: one runs, one waits, no memory is hoarded.
AHEAD = 2

Callback = Callable[[int, TrainState, Mapping[str, float]], None]

# (is it due after this step?, called with the step, the state, this process's batch)
Watcher = tuple[
    Callable[[int], bool], Callable[[int, TrainState, Mapping[str, np.ndarray]], None]
]


def every(num: int) -> Callable[[int], bool]:
    """Due after every so many steps; 0: never."""
    return lambda step: num > 0 and step % num == 0


def run(
    update: StepFunction,
    state: TrainState,
    batches: Iterator[Mapping[str, np.ndarray]],
    *,
    steps: int,
    log_every: int,
    checkpoint_every: int,
    on_log: Callback,
    on_checkpoint: Callback,
    watchers: Sequence[Watcher] = (),
    put: Callable[[Mapping[str, np.ndarray]], Batch] = lambda batch: Batch(**batch),
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainState:
    """Trains from `state.step` to `steps`.

    The log is called every `log_every` steps and before each checkpoint, with the means
    since its last call; so the log of a run that resumes at such a checkpoint is the log
    of a run that was never broken (a stop makes one more, with a line of its own). No
    checkpoint is made of a state that is not finite.

    Args:
        update: one jitted step.
        state: where to start.
        batches: fields of `Batch` as numpy arrays, for ever; this process's share.
        steps: updates of the whole run.
        log_every: steps between two calls of `on_log`.
        checkpoint_every: steps between two calls of `on_checkpoint`; the last step and a
            stop make one too.
        on_log: called with the step, the state and the means since its last call.
        on_checkpoint: called with the same, after `on_log` and the watchers.
        watchers: see `Watcher`; called after `on_log`, in their order. Their time is not
            the steps' time.
        put: makes the whole batch of the processes' shares.
        should_stop: asked after each step; True ends the run early.

    Returns:
        The last state.

    Raises:
        report.Diverged: a loss or a gradient was not finite; names the step.
    """
    step = int(state.step)
    rows: list = []
    under_way: collections.deque = collections.deque()
    clock = Clock()
    while step < steps:
        with clock.waiting():
            batch = next(batches)
        state, metrics = update(state, put(batch))
        step += 1
        rows.append(metrics)
        under_way.append(metrics["loss"])
        if len(under_way) > AHEAD:
            under_way.popleft().block_until_ready()
        stopped = should_stop()
        saves = stopped or step == steps or step % checkpoint_every == 0
        logs = saves or step % log_every == 0
        due = [call for is_due, call in watchers if is_due(step)]
        if logs:
            told = jax.device_get(rows)
            means = metrics_log.mean_of_steps(told, first_step=step - len(rows) + 1)
            num_examples = len(rows) * len(batch["image"]) * jax.process_count()
            means |= clock.read(num_steps=len(rows), num_examples=num_examples)
            on_log(step, state, means)
            rows.clear()
        elif due:
            jax.block_until_ready(metrics["loss"])
        with clock.apart():
            for call in due:
                call(step, state, batch)
        if saves:
            on_checkpoint(step, state, means)
        if logs:
            clock.start()
        if stopped:
            break
    return state
