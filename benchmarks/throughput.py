"""How many examples a second, and how busy the chip is: batches and remat swept.

python benchmarks/throughput.py configs/sbd.py:model=mst --batch 8,16,32 \
  --config.model.dtype=bfloat16

Each row is a training step without rounds: clicks, forward, backward, update. Its model
FLOP utilisation takes the operations that the compiler counts in the program before it is
optimised, with nothing computed again. The last line is the fastest row's step with the
rounds that the config allows; each step draws how many are played. Further flags change
the config. Where memory grows from row to row, GiB is the most so far.
"""

import argparse
import itertools

import jax
import numpy as np
from ml_collections import ConfigDict
from unit import seconds

from mst_jax.layers.remat import REMATS
from mst_jax.structs import Batch
from mst_jax.training import devices
from mst_jax.training.config import read_config
from mst_jax.training.setup import build_run
from mst_jax.training.sharding import put_batch


def main() -> None:
    """Prints a row for each batch and remat."""
    parser = argparse.ArgumentParser(prog="python benchmarks/throughput.py")
    parser.add_argument("config", metavar="FILE")
    parser.add_argument("--batch", default="8", help="as many sizes as wanted: 8,16,32")
    parser.add_argument("--remat", default=",".join(REMATS))
    parser.add_argument("--steps", type=int, default=10)
    options, flags = parser.parse_known_args()
    device = jax.devices()[0]
    peak = devices.peak_of(device.device_kind)
    print(
        f"{options.config} {' '.join(flags)}: {jax.device_count()} x {device.device_kind}"
    )
    if peak is None:
        print("nobody told us this chip's peak: no FLOP utilisation")
    print("| batch | remat | seconds | examples/s | TFLOP | MFU | GiB |")
    print("| ----: | ----- | ------: | ---------: | ----: | --: | --: |")
    rates = {}
    sizes = [int(size) for size in options.batch.split(",")]
    for size, remat in itertools.product(sizes, options.remat.split(",")):
        config = configure(options.config, flags, size, alone=True)
        counted = count(config)
        config.model.remat = remat
        try:
            took = time_step(config, options.steps)
        except jax.errors.JaxRuntimeError as error:
            print(f"| {size} | {remat} | {str(error).splitlines()[0][:60]} |")
            continue
        rates[size, remat] = size / took
        share = f"{counted / took / peak / jax.device_count():.1%}" if peak else "-"
        held = devices.memory_in_use().get("device_memory_gib")
        print(
            f"| {size} | {remat} | {took:.3f} | {size / took:.1f} "
            f"| {counted / 1e12:.3g} | {share} | {f'{held:.1f}' if held else '-'} |",
            flush=True,
        )
    if not rates:
        return
    size, remat = max(rates, key=rates.get)
    config = configure(options.config, flags, size)
    config.model.remat = remat
    took = time_step(config, options.steps)
    print(f"with rounds, {size} {remat}: {took:.3f} s, {size / took:.1f} examples/s")


def configure(
    path: str, flags: list[str], size: int, *, alone: bool = False
) -> ConfigDict:
    """The config with another batch, without remat; alone: without rounds, too."""
    config = read_config(["--config", path, *flags])
    with config.unlocked():
        config.batch, config.model.remat = size, "none"
        if alone:
            config.clicks = dict(max_first=config.clicks.max_first, max_rounds=0)
    return config


def count(config: ConfigDict) -> float:
    """FLOP of an update, by its program as it was written."""
    made = []

    def start() -> object:
        run = build_run(config)
        made.append(run.update)
        return run.state

    state = jax.eval_shape(start)
    return made[0].lower(state, draw(config)).cost_analysis()["flops"]


def time_step(config: ConfigDict, steps: int) -> float:
    """Mean seconds of a step after the first, which compiles."""
    run = build_run(config)
    batch = put_batch(run.layout, vars(draw(config)))
    held = [run.state]

    def step() -> jax.Array:
        held[0], metrics = run.update(held[0], batch)
        return metrics["loss"]

    jax.block_until_ready(step())
    return seconds(lambda: [step() for _ in range(steps)]) / steps


def draw(config: ConfigDict) -> Batch:
    """A batch of drawn pixels with a square object each."""
    shape = (config.batch, config.crop, config.crop)
    rng = np.random.default_rng(0)
    target = np.zeros(shape, bool)
    target[:, config.crop // 4 : config.crop // 2, 20:60] = True
    return Batch(
        image=rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
        target=target,
        valid=np.ones(shape, bool),
        others=np.zeros(shape, bool),
    )


if __name__ == "__main__":
    main()
