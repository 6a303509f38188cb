"""Where the time of a run goes."""

import contextlib
import time
from collections.abc import Iterator

import jax

CLOCKED = (
    "examples_per_second",
    "examples_per_second_per_device",
    "step_seconds",
    "waiting_share",
    "validation_seconds",
    "device_memory_gib",
    "flop_utilization",
)
"""Metrics that are measured on the machine: no two runs agree on them."""


class Clock:
    """Measures a window of steps: what they took, and how long they waited for data."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begins a window."""
        self._since = time.perf_counter()
        self._waited = self._apart = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Time that a step waits for its data."""
        begin = time.perf_counter()
        yield
        self._waited += time.perf_counter() - begin

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Time that is not the steps': validation, pictures."""
        begin = time.perf_counter()
        yield
        self._apart += time.perf_counter() - begin

    def read(self, *, num_steps: int, num_examples: int) -> dict[str, float]:
        """What the window took.

        Args:
            num_steps: updates in the window.
            num_examples: that they learned from, on all devices together.

        Returns:
            Examples each second, altogether and for each device; seconds of a step; the
            share of them, 0 to 1, in which the next batch was not there yet.
        """
        seconds = time.perf_counter() - self._since - self._apart
        return {
            "examples_per_second": num_examples / seconds,
            "examples_per_second_per_device": num_examples
            / seconds
            / jax.device_count(),
            "step_seconds": seconds / num_steps,
            "waiting_share": self._waited / seconds,
        }
