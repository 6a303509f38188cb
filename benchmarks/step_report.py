"""Compile a training step for the devices of a topology, and report its limits."""

import dataclasses
import time
from typing import Any

import jax

from benchmarks.compiled_text import (
    Program,
    count_collectives,
    read_program,
)
from benchmarks.memory_traffic import hbm_traffic
from benchmarks.topology import ChipSpecification
from mst_jax.training.config import TrainingOptions
from mst_jax.training.sharding import REPLICATED, ShardingOptions
from mst_jax.training.startup.device_memory import (
    compile_if_it_fits,
    remat_mode,
    with_remat_mode,
)
from mst_jax.training.startup.step_program import lower_train_step
from mst_jax.training.training_run import plan_run, plan_state

GIB = 2**30
NUM_LISTED = 10

# Arrays of a result that are printed; a fused all-reduce returns a hundred.
NUM_LISTED_ARRAYS = 3


@dataclasses.dataclass(frozen=True)
class StepReport:
    """What the compiler says about a step; numbers are those of one device.

    Attributes:
        topology: Name of the topology.
        num_devices: Number of its devices.
        batch: Global batch.
        remat: Rematerialization mode.
        grad_accum_steps: Number of microbatches.
        placement: "pmap", "replicated" or "sharded" state.
        model_flops: FLOP of the step as written, without rematerialization; of the
            rounds of clicks, if there are any, one is counted.
        bytes_accessed: Bytes that the compiler counts, the fast memory included. It
            counts loops once; the HBM bytes of further iterations are added.
        hbm_bytes: Bytes between HBM and the operations of the program.
        temporary_bytes: HBM for temporary arrays.
        argument_bytes: HBM for the state and the batch.
        arithmetic_seconds: Time of `model_flops` at the peak.
        memory_seconds: Time of `bytes_accessed` at the bandwidth of HBM.
        hbm_seconds: Time of `hbm_bytes` at the bandwidth of HBM.
        compile_cpu_seconds: CPU time of the compiler, on all cores.
        optimization_level: Value of JAX_OPTIMIZATION_LEVEL; UNKNOWN if it is not set.
        estimated_cycles: Clock cycles of the operations by the compiler's estimate,
            without kernels, gathers, scatters and collectives.
        collectives: Name -> number and bytes.
    """

    topology: str
    num_devices: int
    batch: int
    remat: str
    grad_accum_steps: int
    placement: str
    model_flops: float
    bytes_accessed: float
    hbm_bytes: float
    temporary_bytes: int
    argument_bytes: int
    arithmetic_seconds: float
    memory_seconds: float
    hbm_seconds: float
    compile_cpu_seconds: float
    optimization_level: str
    estimated_cycles: int
    collectives: dict[str, tuple[int, int]]

    @property
    def roofline_seconds(self) -> float:
        """Return the longer one of the times of arithmetic and memory."""
        return max(self.arithmetic_seconds, self.memory_seconds)

    @property
    def mfu_bound(self) -> float:
        """Return the model FLOP utilization of a step that takes the roofline time."""
        return self.arithmetic_seconds / self.roofline_seconds

    @property
    def hbm_mfu_bound(self) -> float:
        """Return the bound if the fast memory is as fast as the arithmetic."""
        return self.arithmetic_seconds / max(self.arithmetic_seconds, self.hbm_seconds)


def count_model_flops(options: TrainingOptions) -> float:
    """Return the FLOP of a step, all devices together, without rematerialization.

    Counted in the program for the CPU before it is optimized: that for TPUs has kernels
    whose operations the compiler does not count.
    """
    # Without loops, which are counted once.
    options = dataclasses.replace(
        options,
        model={**options.model, "scan": False},
        sharding=ShardingOptions(),
    )
    plan = plan_run(with_remat_mode(options, "none"), jax.devices()[:1])
    lowered = lower_train_step(plan, plan_state(plan))
    cost_analysis: Any = lowered.cost_analysis()
    return cost_analysis["flops"]


def describe_placement(sharding: ShardingOptions) -> str:
    """Return how the state is placed on the devices, in a word."""
    if sharding.transform == "pmap":
        return "pmap"
    return "replicated" if sharding.rules == REPLICATED else "sharded"


def compile_step(options: TrainingOptions, devices: list[Any]) -> tuple[Any, float]:
    """Compile the step that `train` runs.

    Args:
        options: Checked values of a config.
        devices: Devices of a topology.

    Returns:
        The compiled step, and the CPU seconds of the compiler.

    Raises:
        DoesNotFitError: A chip has too little memory.
    """
    plan = plan_run(options, devices)
    lowered = lower_train_step(plan, plan_state(plan))
    cpu_start = time.process_time()
    compiled = compile_if_it_fits(lowered)
    return compiled, time.process_time() - cpu_start


def report_step(
    compiled: Any,
    options: TrainingOptions,
    topology: str,
    *,
    num_devices: int,
    limits: tuple[ChipSpecification, float],
    model_flops: float,
    compile_cpu_seconds: float,
) -> StepReport:
    """Return the report of a compiled step.

    Args:
        compiled: The step.
        options: Options that it was compiled from.
        topology: Name of the topology.
        num_devices: Number of its devices.
        limits: Specification of its chips and their peak in FLOP/s.
        model_flops: FLOP of the step on one device.
        compile_cpu_seconds: CPU time of the compiler.
    """
    specification, peak = limits
    program = read_program(compiled.as_text())
    traffic = hbm_traffic(program).values()
    bytes_accessed = compiled.cost_analysis()["bytes accessed"]
    bytes_accessed += sum((num_runs - 1) * size for num_runs, size in traffic)
    hbm_bytes = sum(num_runs * size for num_runs, size in traffic)
    memory = compiled.memory_analysis()
    return StepReport(
        topology=topology,
        num_devices=num_devices,
        batch=options.batch,
        remat=remat_mode(options),
        grad_accum_steps=options.grad_accum_steps,
        placement=describe_placement(options.sharding),
        model_flops=model_flops,
        bytes_accessed=bytes_accessed,
        hbm_bytes=hbm_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        argument_bytes=memory.argument_size_in_bytes,
        arithmetic_seconds=model_flops / peak,
        memory_seconds=bytes_accessed / specification.hbm_bytes_per_second,
        hbm_seconds=hbm_bytes / specification.hbm_bytes_per_second,
        compile_cpu_seconds=compile_cpu_seconds,
        optimization_level=jax.config.values["jax_optimization_level"],
        estimated_cycles=program.estimated_cycles(),
        collectives=count_collectives(program),
    )


def format_report(report: StepReport, specification: ChipSpecification) -> str:
    """Return the lines that the command prints about a step."""
    hbm_gib = specification.hbm_bytes / GIB
    level = report.optimization_level
    level = "" if level == "UNKNOWN" else f", optimization level {level}"
    collectives = "; ".join(
        f"{number} {name}, {num_bytes / 1e9:.2f} GB"
        for name, (number, num_bytes) in sorted(report.collectives.items())
    )
    return "\n".join(
        (
            f"{report.topology}, {report.num_devices} devices, batch {report.batch}, "
            f"remat {report.remat}, microbatches {report.grad_accum_steps}, "
            f"{report.placement}: fits",
            f"  model FLOP a device   {report.model_flops:.3e}",
            f"  bytes accessed        {report.bytes_accessed / 1e9:.1f} GB, "
            f"{report.bytes_accessed * report.num_devices / report.batch / 1e9:.2f} "
            "GB an example",
            f"  HBM traffic           {report.hbm_bytes / 1e9:.1f} GB",
            f"  temporary HBM         {report.temporary_bytes / GIB:.2f} GiB",
            f"  arguments             {report.argument_bytes / GIB:.2f} GiB "
            f"of {hbm_gib:.1f}",
            f"  arithmetic            {report.arithmetic_seconds * 1e3:.1f} ms",
            f"  memory                {report.memory_seconds * 1e3:.1f} ms",
            f"  roofline time         {report.roofline_seconds * 1e3:.1f} ms",
            f"  MFU at most           {report.mfu_bound:.1%}, by the HBM traffic "
            f"{report.hbm_mfu_bound:.1%}",
            f"  estimated cycles      {report.estimated_cycles / 1e6:.1f} million, without "
            "kernels, gathers and collectives",
            f"  collectives           {collectives or 'none'}",
            f"  compiler's CPU time   {report.compile_cpu_seconds:.0f} s{level}",
        )
    )


def format_largest(program: Program) -> str:
    """Return the largest arrays of a program and its operations' traffic.

    Args:
        program: The program.
    """
    traffic = {
        name: num_runs * size for name, (num_runs, size) in hbm_traffic(program).items()
    }
    by_name = {
        name: item
        for computation in program.computations.values()
        for name, item in computation.items()
        if name in traffic
    }
    # Asynchronous operations return their operands again.
    made_arrays = [
        item for item in by_name.values() if not item.operation.endswith("-start")
    ]
    largest = sorted(made_arrays, key=lambda item: -item.hbm_bytes)[:NUM_LISTED]
    busiest = sorted(traffic, key=lambda name: -traffic[name])[:NUM_LISTED]
    lines = ["largest arrays:"]
    lines += [
        f"  {item.hbm_bytes / 2**20:8.1f} MiB  {shorten_type(item.result_type)}  "
        f"{item.source}"
        for item in largest
    ]
    lines += ["operations with the most traffic:"]
    lines += [
        f"  {traffic[name] / 1e6:8.1f} MB   {by_name[name].operation} {name}  "
        f"{by_name[name].source}"
        for name in busiest
    ]
    return "\n".join(lines)


def shorten_type(result_type: str) -> str:
    """Return the first arrays of a result, and how many more it has.

    Args:
        result_type: Dtypes and shapes, separated by spaces.
    """
    array_types = result_type.split()
    num_more = len(array_types) - NUM_LISTED_ARRAYS
    listed = " ".join(array_types[:NUM_LISTED_ARRAYS])
    return f"{listed} and {num_more} more" if num_more > 0 else listed
