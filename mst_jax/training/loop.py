"""Step, log, save, call back: the only long-lived loop."""

import collections
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from mst_jax.structs import Batch, TrainState
from mst_jax.training import report
from mst_jax.training.step import StepFunction

# Steps that may be under way at once: one runs, one waits, no memory is hoarded.
AHEAD = 2

Callback = Callable[[int, TrainState, Mapping[str, float]], None]


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
        on_checkpoint: called with the same, after `on_log`.
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
    since = time.perf_counter()
    while step < steps:
        batch = next(batches)
        state, metrics = update(state, put(batch))
        step += 1
        rows.append(metrics)
        under_way.append(metrics["loss"])
        if len(under_way) > AHEAD:
            under_way.popleft().block_until_ready()
        stopped = should_stop()
        is_last = stopped or step == steps
        if step % log_every and step % checkpoint_every and not is_last:
            continue
        means = report.mean_of_steps(
            jax.device_get(rows), first_step=step - len(rows) + 1
        )
        seconds = time.perf_counter() - since
        num_examples = len(rows) * len(batch["image"]) * jax.process_count()
        means["examples_per_second"] = num_examples / seconds
        on_log(step, state, means)
        if is_last or step % checkpoint_every == 0:
            on_checkpoint(step, state, means)
        rows.clear()
        since = time.perf_counter()
        if stopped:
            break
    return state
