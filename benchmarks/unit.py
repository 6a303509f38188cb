"""The unit of time: one product of two 2048x2048 float32 NumPy matrices on this machine."""

import time
from collections.abc import Callable

import jax
import numpy as np

MATRIX = np.random.default_rng(0).random((2048, 2048), np.float32)


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call, arrays and all."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def matrix_product() -> float:
    """Seconds of the unit: the median of five."""
    return float(np.median([seconds(lambda: MATRIX @ MATRIX) for _ in range(5)]))


def in_units(
    function: Callable[[], object], *, repeats: int = 5
) -> tuple[float, float]:
    """Medians over calls of (seconds, units), after one call that does not count.

    A machine's speed changes within minutes: each call has its own unit, measured before
    and after it.
    """
    jax.block_until_ready(function())
    times, before = [], matrix_product()
    for _ in range(repeats):
        took, after = seconds(function), matrix_product()
        times.append((took, 2 * took / (before + after)))
        before = after
    return tuple(np.median(times, axis=0))
