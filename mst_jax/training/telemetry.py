"""Measure a training run: speed of the steps, use of the devices, profiler traces."""

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jaxtyping import PyTree

from mst_jax.atomic_io import PathLike
from mst_jax.training.train_state import TrainState

MACHINE_METRICS = (
    "examples_per_second",
    "examples_per_second_per_device",
    "step_seconds",
    "input_wait_fraction",
    "validation_seconds",
    "device_memory_gib",
    "mfu",
)
"""Metrics that depend on the machine: no two runs agree on them."""

BYTES_PER_GIB = 2**30

# Dense bfloat16 products, FLOP/s of one device, by the beginning of `device_kind`; the
# longest name that matches counts. Sources: Google Cloud's pages on TPU versions,
# NVIDIA's data sheets. A device of v2 and v3 is half a chip.
PEAK_FLOPS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
    "Tesla T4": 65e12,
    "Tesla V100": 125e12,
}

PROFILE_DIR = "profile"


class StepTimer:
    """Times windows of training steps, and how long the steps waited for data."""

    def __init__(self) -> None:
        self.start_window()

    def start_window(self) -> None:
        """Start a new window of steps."""
        self._start_time = time.perf_counter()
        self._input_wait_seconds = self._excluded_seconds = 0.0

    @contextlib.contextmanager
    def time_input_wait(self) -> Iterator[None]:
        """Count the time inside the context as waiting for data."""
        enter_time = time.perf_counter()
        yield
        self._input_wait_seconds += time.perf_counter() - enter_time

    @contextlib.contextmanager
    def exclude_time(self) -> Iterator[None]:
        """Exclude the time inside the context: validation, images."""
        enter_time = time.perf_counter()
        yield
        self._excluded_seconds += time.perf_counter() - enter_time

    def speed_metrics(self, *, num_steps: int, num_examples: int) -> dict[str, float]:
        """Return the speed of the window.

        Args:
            num_steps: Number of updates in the window.
            num_examples: Number of examples in these updates, on all devices together.

        Returns:
            Examples per second, in total and per device; seconds per step; the fraction
            of them, 0 to 1, in which the step waited for its batch.
        """
        # Validation and images are not part of a step's time.
        elapsed_seconds = time.perf_counter() - self._start_time
        seconds = elapsed_seconds - self._excluded_seconds
        return {
            "examples_per_second": num_examples / seconds,
            "examples_per_second_per_device": num_examples
            / seconds
            / jax.device_count(),
            "step_seconds": seconds / num_steps,
            "input_wait_fraction": self._input_wait_seconds / seconds,
        }


def peak_flops(device_kind: str) -> float | None:
    """Return the peak FLOP/s of a device; None for an unknown device.

    Args:
        device_kind: Name of the device in JAX, such as "TPU v4".
    """
    matching_names = [name for name in PEAK_FLOPS if device_kind.startswith(name)]
    return PEAK_FLOPS[max(matching_names, key=len)] if matching_names else None


def count_step_flops(train_step: Any, *arguments: PyTree) -> float:
    """Return the FLOP of the matrix products and convolutions of a step on one device.

    Counted in the program as it is written: the compiled program counts a loop once, and
    has kernels whose operations are unknown. Of the rounds of clicks one is counted,
    however many are run. What rematerialization computes again is counted as well.

    Args:
        train_step: Compiled function; it is not compiled again.
        *arguments: Arguments of the function, or their shapes.
    """
    program = jax.make_jaxpr(train_step)(*arguments)
    return _program_flops(program) / jax.device_count()


def _program_flops(program: Any) -> float:
    """Return the FLOP of a jaxpr, all devices together."""
    return math.fsum(_equation_flops(equation) for equation in program.eqns)


def _equation_flops(equation: Any) -> float:
    """Return the FLOP of an equation of a jaxpr, all devices together."""
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted_axes, _), _ = params["dimension_numbers"]
        left_shape = equation.invars[0].aval.shape
        terms = math.prod(left_shape[axis] for axis in contracted_axes)
        return 2.0 * equation.outvars[0].aval.size * terms
    if name == "conv_general_dilated":
        kernel, features_axis = equation.invars[1].aval, params["dimension_numbers"][1]
        # Of the input's dilation, zeros are not counted.
        num_zeros = params["batch_group_count"] * math.prod(params["lhs_dilation"])
        terms = kernel.size / kernel.shape[features_axis[0]] / num_zeros
        return 2.0 * equation.outvars[0].aval.size * terms
    # A kernel is in a branch for its platform; the other branch is counted.
    if name == "pallas_call":
        return 0.0
    values = (
        part
        for value in params.values()
        for part in (value if isinstance(value, (tuple, list)) else (value,))
    )
    called_flops = [_program_flops(part) for part in values if hasattr(part, "eqns")]
    if name == "cond":
        return max(called_flops)
    num_runs = params["length"] if name == "scan" else 1
    if name == "shard_map":
        num_runs = params["mesh"].size
    elif name == "xla_pmap":
        num_runs = params["global_axis_size"]
    return num_runs * math.fsum(called_flops)


def mfu_metric(step_flops: float | None, step_seconds: float) -> dict[str, float]:
    """Return the metric `mfu`: model FLOP utilization, the fraction of the peak.

    Args:
        step_flops: FLOP that one device does in a step; None = unknown.
        step_seconds: Seconds per step.

    Returns:
        `mfu`, 0 to 1; empty if it is unknown.
    """
    device_peak = peak_flops(jax.local_devices()[0].device_kind)
    if not step_flops or not device_peak:
        return {}
    return {"mfu": step_flops / step_seconds / device_peak}


def memory_metric() -> dict[str, float]:
    """Return the metric `device_memory_gib`: the peak memory of the fullest device.

    Empty where devices report no memory, such as CPUs.
    """
    memory_stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peak_bytes = [
        device_stats["peak_bytes_in_use"]
        for device_stats in memory_stats
        if "peak_bytes_in_use" in device_stats
    ]
    return {"device_memory_gib": max(peak_bytes) / BYTES_PER_GIB} if peak_bytes else {}


def bytes_per_device(tree: Any) -> int:
    """Return the number of bytes of a tree on the device that holds the most.

    Args:
        tree: Tree of arrays, or of shapes with shardings.
    """
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def parse_profile_range(text: str, num_steps: int) -> tuple[int, int]:
    """Parse the value of `--profile`, START:STOP.

    Args:
        text: Value of the flag.
        num_steps: Number of updates of the whole run.

    Raises:
        ValueError: Other text, a range without a step, or one beyond the run's steps.
    """
    # Step 0 has no predecessor whose end could start the trace.
    range_match = re.fullmatch(r"(\d+):(\d+)", text)
    if (
        not range_match
        or not 0 < int(range_match[1]) < int(range_match[2]) <= num_steps
    ):
        raise ValueError(
            f"--profile is {text!r}, expected START:STOP, two steps from 1 to "
            f"{num_steps}, the first below the second, such as {max(num_steps - 3, 1)}:"
            f"{num_steps}; the steps after START are traced"
        )
    return int(range_match[1]), int(range_match[2])


def make_profiler(
    folder: PathLike, start_step: int, stop_step: int
) -> tuple[Callable[[int], bool], Callable[[int, TrainState, Any], None]]:
    """Make a callback of the training loop that traces some steps.

    TensorBoard and xprof show the trace.

    Args:
        folder: Folder for the trace.
        start_step: The last step before the trace.
        stop_step: The last step in the trace.

    Returns:
        The condition and the function of a `train_loop.StepCallback`.
    """
    active_traces = []

    def toggle_trace(step: int, state: TrainState, _: Any) -> None:
        # Steps run asynchronously: wait for those that do not belong to the trace.
        jax.block_until_ready(state.params)
        if step == start_step:
            jax.profiler.start_trace(str(folder))
            active_traces.append(step)
        elif (
            active_traces
        ):  # a run that resumed after `start_step` has no trace to stop
            jax.profiler.stop_trace()

    return (lambda step: step in (start_step, stop_step)), toggle_trace
