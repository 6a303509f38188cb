"""The training loop: step, log, save checkpoints, call back."""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mst_jax.training.metrics_log import mean_metrics
from mst_jax.training.telemetry import StepTimer
from mst_jax.training.train_state import TrainState
from mst_jax.training.train_step import Metrics

# One step runs on the devices and one waits; more would hold the memory of their
# batches.
MAX_STEPS_IN_FLIGHT = 2

# This process's share of a batch: the fields of `structs.Batch`.
HostBatch = Mapping[str, np.ndarray]

# Called with the step, the state and the means of the metrics since the last call.
MetricsCallback = Callable[[int, TrainState, Mapping[str, float]], None]


class StepCallback(NamedTuple):
    """A function that the loop calls after some steps.

    Attributes:
        is_due: Function of the step that returns whether the function is called.
        function: Called with the step, the state and this process's batch.
    """

    is_due: Callable[[int], bool]
    function: Callable[[int, TrainState, HostBatch], None]


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How long the loop runs and how often it logs and saves.

    Attributes:
        num_steps: Number of updates of the whole run.
        log_every: Number of steps between two logs.
        checkpoint_every: Number of steps between two checkpoints; there is also one at
            the last step and at a stop.
    """

    num_steps: int
    log_every: int
    checkpoint_every: int


def every_n_steps(num_steps: int) -> Callable[[int], bool]:
    """Return the condition that holds after every `num_steps` steps; 0 = never."""
    return lambda step: num_steps > 0 and step % num_steps == 0


def run_train_loop(
    train_step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    state: TrainState,
    batches: Iterator[HostBatch],
    options: LoopOptions,
    *,
    on_log: MetricsCallback,
    on_checkpoint: MetricsCallback,
    callbacks: Sequence[StepCallback] = (),
    should_stop: Callable[[], int] = lambda: 0,
) -> TrainState:
    """Train from `state.step` to `options.num_steps`.

    `on_log` is called every `log_every` steps and before each checkpoint, with the
    means since its last call. So the log of a run that resumes at such a checkpoint is
    that of the uninterrupted run (a stop makes one more checkpoint, with a line of its
    own). No checkpoint is made of a state that is not finite.

    Args:
        train_step: Function of the state and this process's batch.
        state: State to start from.
        batches: Endless iterator over this process's batches.
        options: Numbers of steps.
        on_log: Called when metrics are logged.
        on_checkpoint: Called when a checkpoint is due, after `on_log` and the
            callbacks.
        callbacks: Called after `on_log`, in their order. Their time does not count as
            time of the steps.
        should_stop: Called after each step; a value other than 0 ends the run early.

    Returns:
        The last state.

    Raises:
        DivergedError: A loss or a gradient is not finite; the message names the step.
    """
    step = int(state.step)
    metric_window: list[Metrics] = []
    in_flight: collections.deque[jax.Array] = collections.deque()
    metric_means: dict[str, float] = {}
    step_timer = StepTimer()
    while step < options.num_steps:
        with step_timer.time_input_wait():
            batch = next(batches)
        # 1. The step runs asynchronously; wait for the one before the last.
        state, metrics = train_step(state, batch)
        step += 1
        metric_window.append(metrics)
        in_flight.append(metrics["loss"])
        if len(in_flight) > MAX_STEPS_IN_FLIGHT:
            in_flight.popleft().block_until_ready()
        # 2. What is due after this step. A checkpoint always has a log before it.
        is_stopped = bool(should_stop())
        is_checkpoint = (
            is_stopped
            or step == options.num_steps
            or step % options.checkpoint_every == 0
        )
        is_log = is_checkpoint or step % options.log_every == 0
        due_callbacks = [callback for callback in callbacks if callback.is_due(step)]
        if is_log:
            host_window = jax.device_get(metric_window)
            first_step = step - len(metric_window) + 1
            metric_means = mean_metrics(host_window, first_step=first_step)
            num_examples = (
                len(metric_window) * len(batch["image"]) * jax.process_count()
            )
            metric_means |= step_timer.speed_metrics(
                num_steps=len(metric_window), num_examples=num_examples
            )
            on_log(step, state, metric_means)
            metric_window.clear()
        elif due_callbacks:
            # The callbacks' time must not contain the end of the step.
            jax.block_until_ready(metrics["loss"])
        with step_timer.exclude_time():
            for callback in due_callbacks:
                callback.function(step, state, batch)
        if is_checkpoint:
            on_checkpoint(step, state, metric_means)
        if is_log:
            step_timer.start_window()
        if is_stopped:
            break
    return state
