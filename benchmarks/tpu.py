"""Compile a config's training step for TPUs that are not here, and print its limits.

python -m benchmarks.tpu configs/sbd.py:model=mst --topology v5e:2x4 --batch 32 --no-rounds

The compiler of the package libtpu (`pip install 'mst_jax[tpu-compile]'`) needs no TPU. A
full-size step takes it minutes, and a third of that with JAX_OPTIMIZATION_LEVEL=O1 in the
environment. Bytes accessed are the compiler's count; HBM traffic leaves out what stays in
the fast memory. The times are lower bounds: peak and bandwidth of the chip, without
waiting. `--cuda` only lowers the step for NVIDIA GPUs. Further flags change the config.
The exit code is 1 if the step does not fit.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from benchmarks.compiled_text import read_program
from benchmarks.step_report import (
    StepReport,
    compile_step,
    count_model_flops,
    format_largest,
    format_report,
    report_step,
)
from benchmarks.topology import CHIP_SPECIFICATIONS, chip_limits, topology_devices
from mst_jax.extras import exit_with_error
from mst_jax.layers.remat import REMAT_MODES
from mst_jax.training.config import TrainingOptions, check_config, read_config
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.startup.device_memory import (
    FULLY_SHARDED,
    DoesNotFitError,
    describe_changes,
    smaller_options,
    with_remat_mode,
)
from mst_jax.training.startup.step_program import trace_train_step
from mst_jax.training.training_run import plan_run, plan_state

SHARDINGS = {
    "replicated": ShardingOptions(),
    "fsdp": ShardingOptions(rules=FULLY_SHARDED),
    "pmap": ShardingOptions(transform="pmap"),
}
"""Name on the command line -> placement of the state."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; see the text at the beginning of this file.

    Args:
        arguments: Words of the command line; None = those of the process.
    """
    flags, config_flags = parse_flags(arguments)
    # Before the first use of a device: the programs are only compiled.
    jax.config.update("jax_platforms", "cpu")
    try:
        options = read_options(flags, config_flags)
        if flags.cuda:
            print_cuda_lowering(options)
        if flags.topology is not None:
            print_tpu_limits(options, flags)
    except DoesNotFitError as error:
        print(f"does not fit: {error}")
        sys.exit(1)
    except ValueError as error:
        exit_with_error(str(error))


def parse_flags(
    arguments: list[str] | None,
) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags of this command, and those that change the config."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpu")
    parser.add_argument("config", metavar="FILE")
    versions = ", ".join(CHIP_SPECIFICATIONS)
    parser.add_argument("--topology", help=f"such as v5e:2x4; versions: {versions}")
    parser.add_argument("--batch", type=int, help="global batch")
    parser.add_argument("--remat", choices=REMAT_MODES)
    parser.add_argument("--sharding", choices=tuple(SHARDINGS))
    parser.add_argument(
        "--no-rounds", action="store_true", help="simulate initial clicks only"
    )
    parser.add_argument(
        "--fit",
        action="store_true",
        help="make the changes that `train` makes, then use more microbatches, until the "
        "step fits",
    )
    parser.add_argument(
        "--search", action="store_true", help="like --fit, then find the largest batch"
    )
    parser.add_argument(
        "--cuda", action="store_true", help="lower the step for NVIDIA GPUs"
    )
    parser.add_argument("--hlo", help="write the compiled program to this file")
    parser.add_argument("--json", help="write the numbers to this file")
    flags, config_flags = parser.parse_known_args(arguments)
    if flags.topology is None and not flags.cuda:
        parser.error("nothing to do; give --topology, such as v5e:2x4, or --cuda")
    return flags, config_flags


def read_options(flags: argparse.Namespace, config_flags: list[str]) -> TrainingOptions:
    """Return the checked values of the config, changed by the flags."""
    config: Any = read_config(["--config", flags.config, *config_flags])
    with config.unlocked():
        if flags.no_rounds:
            config.clicks = dict(max_initial=config.clicks.max_initial, max_rounds=0)
        if flags.batch is not None:
            config.batch = flags.batch
    options = check_config(config)
    if flags.remat is not None:
        options = with_remat_mode(options, flags.remat)
    if flags.sharding is not None:
        options = dataclasses.replace(options, sharding=SHARDINGS[flags.sharding])
    return options


def print_cuda_lowering(options: TrainingOptions) -> None:
    """Lower the step for NVIDIA GPUs, which fails on unsupported operations."""
    plan = plan_run(options, jax.devices()[:1])
    traced = trace_train_step(plan, plan_state(plan))
    program_text = traced.lower(lowering_platforms=("cuda",)).as_text()
    print(f"cuda: lowered, {len(program_text) / 1e6:.1f} MB of program text")


def print_tpu_limits(options: TrainingOptions, flags: argparse.Namespace) -> None:
    """Compile the step for a topology, or search what fits, and print the report.

    Raises:
        DoesNotFitError: The step does not fit.
    """
    devices = topology_devices(flags.topology)
    limits = chip_limits(flags.topology, devices[0].device_kind)
    # The FLOP are proportional to the batch; counted for its smallest share.
    one_per_device = dataclasses.replace(
        options, batch=len(devices) * options.grad_accum_steps
    )
    flops_per_example = count_model_flops(one_per_device) / one_per_device.batch

    def compile_and_print(options: TrainingOptions) -> StepReport:
        compiled, cpu_seconds = compile_step(options, devices)
        report = report_step(
            compiled,
            options,
            flags.topology,
            num_devices=len(devices),
            limits=limits,
            model_flops=flops_per_example * options.batch / len(devices),
            compile_cpu_seconds=cpu_seconds,
        )
        print(format_report(report, limits[0]), flush=True)
        if flags.hlo:
            Path(flags.hlo).write_text(compiled.as_text())
        if not flags.search:
            print(format_largest(read_program(compiled.as_text())))
        return report

    if flags.fit or flags.search:
        options, report = find_fitting_options(options, len(devices), compile_and_print)
    else:
        report = compile_and_print(options)
    if flags.search:
        multiple = len(devices) * options.grad_accum_steps
        report = search_largest_batch(options, report, multiple, compile_and_print)
    if flags.json:
        Path(flags.json).write_text(json.dumps(dataclasses.asdict(report), indent=2))


def find_fitting_options(
    options: TrainingOptions,
    num_devices: int,
    compile_options: Callable[[TrainingOptions], StepReport],
) -> tuple[TrainingOptions, StepReport]:
    """Return the first options with which a step fits.

    Those that `train` tries, then those that its error proposes: more microbatches.

    Args:
        options: Options to begin with.
        num_devices: Number of devices.
        compile_options: Compiles a step; raises `DoesNotFitError`.

    Returns:
        The options and their report.

    Raises:
        DoesNotFitError: No step fits.
    """
    *same_results, smallest = smaller_options(options, num_devices)
    microbatched = more_microbatches(smallest, num_devices)
    for smaller in (*same_results, smallest, *microbatched):
        if smaller is not options:
            print(f"trying {describe_changes(options, smaller)}", flush=True)
        try:
            return smaller, compile_options(smaller)
        except DoesNotFitError as error:
            print(f"does not fit: {error}", flush=True)
    raise DoesNotFitError(f"batch {options.batch} with one example on each device")


def more_microbatches(
    options: TrainingOptions, num_devices: int
) -> Iterator[TrainingOptions]:
    """Yield options with twice as many microbatches each, as long as devices share them.

    Args:
        options: Checked values of a config.
        num_devices: Number of devices of the run.
    """
    while options.batch % (2 * options.grad_accum_steps * num_devices) == 0:
        options = dataclasses.replace(
            options, grad_accum_steps=2 * options.grad_accum_steps
        )
        yield options


def search_largest_batch(
    options: TrainingOptions,
    report: StepReport,
    multiple: int,
    compile_options: Callable[[TrainingOptions], StepReport],
) -> StepReport:
    """Find the largest batch that fits: double it until it does not fit, then bisect.

    Args:
        options: Options with which a step fits.
        report: Report of this step.
        multiple: Number that divides every batch.
        compile_options: Compiles a step; raises `DoesNotFitError`.

    Returns:
        Report of the largest batch, to an eighth.
    """

    def try_batch(batch: int) -> StepReport | None:
        try:
            return compile_options(dataclasses.replace(options, batch=batch))
        except DoesNotFitError as error:
            print(f"batch {batch} does not fit: {error}", flush=True)
            return None

    fitting, too_large = report, 2 * report.batch
    while (larger := try_batch(too_large)) is not None:
        fitting, too_large = larger, 2 * too_large
    while True:
        middle = (fitting.batch + too_large) // 2 // multiple * multiple
        if middle <= fitting.batch or too_large - fitting.batch <= too_large // 8:
            return fitting
        tried = try_batch(middle)
        if tried is None:
            too_large = middle
        else:
            fitting = tried


if __name__ == "__main__":
    main()
