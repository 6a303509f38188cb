"""Measure examples per second and MFU of training steps, over batch sizes and remat.

python benchmarks/throughput.py configs/sbd.py:model=mst --batch 8,16,32 \
  --config.model.dtype=bfloat16

Each row is a training step without rounds: clicks, forward, backward, update. Its model
FLOP utilization (MFU) takes the operations that the compiler counts in the program
before it is optimized, without rematerialization. The last line is the step of the
fastest row with the rounds that the config allows; each step draws how many are run.
Further flags change the config. Where memory grows from row to row, GiB is the maximum
so far.
"""

import argparse
import itertools
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from unit import measure_seconds

from mst_jax.compilation_cache import add_cache_flag, enable_compilation_cache
from mst_jax.layers.remat import REMAT_MODES
from mst_jax.structs import Batch
from mst_jax.training import telemetry
from mst_jax.training.config import read_config
from mst_jax.training.sharding import shard_batch
from mst_jax.training.training_run import TrainingRun, build_run

TABLE_HEAD = (
    "| batch | remat | seconds | examples/s | TFLOP | MFU | GiB |\n"
    "| ----: | ----- | ------: | ---------: | ----: | --: | --: |"
)


def main() -> None:
    """Print a row for each batch size and remat policy."""
    options, config_flags = parse_flags()
    enable_compilation_cache(options.compilation_cache)
    first_device = jax.devices()[0]
    print(
        f"{options.config} {' '.join(config_flags)}: {jax.device_count()} x "
        f"{first_device.device_kind}"
    )
    if telemetry.peak_flops(first_device.device_kind) is None:
        print("the peak of this device is not known: no MFU")
    print(TABLE_HEAD)
    row_rates: dict[tuple[int, str], float] = {}
    batch_sizes = [int(size) for size in options.batch.split(",")]
    remat_modes: list[str] = options.remat.split(",")
    for batch_size, remat in itertools.product(batch_sizes, remat_modes):
        config = change_config(
            options.config, config_flags, batch_size, without_rounds=True
        )
        # Counted without remat, whose recomputation is not work of the model.
        num_flops = count_flops(config)
        config.model.remat = remat
        try:
            step_seconds = time_step(config, options.steps)
        # Out of memory: the next row may fit.
        except jax.errors.JaxRuntimeError as error:
            print(f"| {batch_size} | {remat} | {str(error).splitlines()[0][:60]} |")
            continue
        row_rates[batch_size, remat] = batch_size / step_seconds
        print(table_row(batch_size, remat, step_seconds, num_flops), flush=True)
    if not row_rates:
        return
    # The fastest row again, with rounds.
    batch_size, remat = max(row_rates, key=lambda row: row_rates[row])
    config = change_config(options.config, config_flags, batch_size)
    config.model.remat = remat
    step_seconds = time_step(config, options.steps)
    print(
        f"with rounds, {batch_size} {remat}: {step_seconds:.3f} s, "
        f"{batch_size / step_seconds:.1f} examples/s"
    )


def parse_flags() -> tuple[argparse.Namespace, list[str]]:
    """Return the flags of this command, and those that change the config."""
    parser = argparse.ArgumentParser(prog="python benchmarks/throughput.py")
    parser.add_argument("config", metavar="FILE")
    parser.add_argument("--batch", default="8", help="batch sizes: 8,16,32")
    parser.add_argument("--remat", default=",".join(REMAT_MODES))
    parser.add_argument("--steps", type=int, default=10)
    add_cache_flag(parser)
    return parser.parse_known_args()


def table_row(
    batch_size: int, remat: str, step_seconds: float, num_flops: float
) -> str:
    """Return a row of the table.

    Args:
        batch_size: Number of examples in a batch.
        remat: Remat policy.
        step_seconds: Seconds of a step.
        num_flops: FLOP of a step, on all devices together.
    """
    device_peak = telemetry.peak_flops(jax.devices()[0].device_kind)
    mfu_text = (
        f"{num_flops / step_seconds / device_peak / jax.device_count():.1%}"
        if device_peak
        else "-"
    )
    memory_gib = telemetry.memory_metric().get("device_memory_gib")
    return (
        f"| {batch_size} | {remat} | {step_seconds:.3f} "
        f"| {batch_size / step_seconds:.1f} | {num_flops / 1e12:.3g} | {mfu_text} "
        f"| {f'{memory_gib:.1f}' if memory_gib else '-'} |"
    )


def change_config(
    path: str, config_flags: list[str], batch_size: int, *, without_rounds: bool = False
) -> Any:
    """Read a config, with another batch size and without remat.

    Args:
        path: File of the config, with its argument.
        config_flags: Flags that change the config.
        batch_size: Number of examples in a batch.
        without_rounds: Simulate initial clicks only.
    """
    config: Any = read_config(["--config", path, *config_flags])
    with config.unlocked():
        config.batch, config.model.remat = batch_size, "none"
        if without_rounds:
            max_initial = config.clicks.max_initial
            config.clicks = dict(max_initial=max_initial, max_rounds=0)
    return config


def count_flops(config: ConfigDict) -> float:
    """Return the FLOP of a step, of its program before it is optimized."""
    built_runs: list[TrainingRun] = []

    def build_state() -> Any:
        run = build_run(config)
        built_runs.append(run)
        return run.state

    # Only shapes are computed: the state of a large model need not fit here.
    state = jax.eval_shape(build_state)
    (run,) = built_runs
    batch = draw_batch(run.options.batch, run.options.crop)
    train_step: Any = run.train_step
    return train_step.lower(state, batch).cost_analysis()["flops"]


def time_step(config: ConfigDict, num_steps: int) -> float:
    """Return the mean seconds of a step after the first, which compiles."""
    run = build_run(config)
    host_batch = vars(draw_batch(run.options.batch, run.options.crop))
    # `teacher_logits` is absent.
    present_fields = {
        name: array for name, array in host_batch.items() if array is not None
    }
    batch = shard_batch(run.layout, present_fields)
    # The step reuses the memory of the state that it is given: keep the newest only.
    newest_state = [run.state]

    def step_loss() -> jax.Array:
        newest_state[0], metrics = run.train_step(newest_state[0], batch)
        return metrics["loss"]

    jax.block_until_ready(step_loss())
    return measure_seconds(lambda: [step_loss() for _ in range(num_steps)]) / num_steps


def draw_batch(batch_size: int, crop_size: int) -> Batch:
    """Draw a batch of random pixels with a rectangular object each.

    Args:
        batch_size: Number of examples.
        crop_size: Height and width of the images in pixels.
    """
    shape = (batch_size, crop_size, crop_size)
    rng = np.random.default_rng(0)
    target = np.zeros(shape, bool)
    target[:, crop_size // 4 : crop_size // 2, 20:60] = True
    batch_fields: dict[str, Any] = dict(
        image=rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
        target=target,
        valid=np.ones(shape, bool),
        others=np.zeros(shape, bool),
    )
    return Batch(**batch_fields)


if __name__ == "__main__":
    main()
