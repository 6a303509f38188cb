"""A trace of a few steps: what the devices did, and when."""

import re
from collections.abc import Callable

import jax

from mst_jax.atomic_io import Place
from mst_jax.structs import TrainState

PROFILE = "profile"


def read_range(text: str, steps: int) -> tuple[int, int]:
    """Reads START:STOP.

    Raises:
        ValueError: something else, a range without a step, or one beyond the run's steps.
    """
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if not found or not 0 < int(found[1]) < int(found[2]) <= steps:
        raise ValueError(
            f"--profile is {text!r}, expected START:STOP, two steps from 1 to {steps}, "
            "the first below the second, such as 10:13; the steps after START are traced"
        )
    return int(found[1]), int(found[2])


def make_profiler(
    folder: Place, start: int, stop: int
) -> tuple[Callable[[int], bool], Callable[..., None]]:
    """Traces the steps after `start` up to `stop`; see it with TensorBoard or xprof.

    Args:
        folder: gets the trace.
        start: the last step that is not traced.
        stop: the last step that is.

    Returns:
        A callback of `loop.run`: when it is due, and what it does.
    """
    traced = []

    def toggle(step: int, state: TrainState, _: object) -> None:
        jax.block_until_ready(state.params)
        if step == start:
            jax.profiler.start_trace(str(folder))
            traced.append(step)
        elif traced:  # a run that went on after `start` has nothing to end
            jax.profiler.stop_trace()

    return (lambda step: step in (start, stop)), toggle
