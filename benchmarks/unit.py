"""The unit of time: one product of two 2048x2048 float32 NumPy matrices on this machine."""

import time
from collections.abc import Callable

import jax
import numpy as np


def seconds(function: Callable[[], object], *, repeats: int = 5) -> float:
    """Median wall time of a call, after one call that does not count."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def matrix_product() -> float:
    """Seconds of the unit."""
    matrix = np.random.default_rng(0).random((2048, 2048), np.float32)
    return seconds(lambda: matrix @ matrix)
