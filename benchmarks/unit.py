"""Measure times in units of a 2048x2048 float32 NumPy matrix product."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

UNIT_MATRIX = np.random.default_rng(0).random((2048, 2048), np.float32)


def measure_seconds(function: Callable[[], Any]) -> float:
    """Return the wall time of one call, until its arrays are computed."""
    start_time = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start_time


def measure_unit() -> float:
    """Return the seconds of the matrix product: the median of five."""
    return float(
        np.median(
            [measure_seconds(lambda: UNIT_MATRIX @ UNIT_MATRIX) for _ in range(5)]
        )
    )


def measure_in_units(
    function: Callable[[], Any], *, repeats: int = 5
) -> tuple[float, float]:
    """Return the median time of a call in seconds and in units.

    The speed of a machine changes within minutes, so each call has its own unit,
    measured before and after it.

    Args:
        function: Function to measure; its first call does not count.
        repeats: Number of calls.
    """
    # The first call compiles.
    jax.block_until_ready(function())
    call_times, unit_before = [], measure_unit()
    for _ in range(repeats):
        call_seconds, unit_after = measure_seconds(function), measure_unit()
        call_times.append((call_seconds, 2 * call_seconds / (unit_before + unit_after)))
        unit_before = unit_after
    median_seconds, median_units = np.median(call_times, axis=0)
    return float(median_seconds), float(median_units)
