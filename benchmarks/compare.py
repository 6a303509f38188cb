"""Compare the time of a click or a training step of two checkouts, in turns.

python benchmarks/compare.py ../other click mst-small
python benchmarks/compare.py ../other click adaptiveclick
python benchmarks/compare.py ../other step configs/objects.py:model=mst,size=small

Each checkout runs in a process of its own. The two take turns, so that both see the same
noise of the machine.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from unit import measure_unit

HERE = Path(__file__).parents[1]
BUNDLED_MODEL = "mst-small"
IMAGE_SIDE = 448


def main() -> None:
    """Print the times of both checkouts and the unit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="checkout to compare with this one")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("name", help="model of the click, or config of the step")
    parser.add_argument("overrides", nargs="*", help="such as --config.batch=8")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options, more_overrides = parser.parse_known_args()
    overrides = [*options.overrides, *more_overrides]
    if options.worker:
        work(options.program, options.name, overrides)
        return
    checkouts = {"other": options.other.resolve(), "this": HERE}
    words = [options.program, options.name, *overrides, "--worker"]
    workers = {name: start(checkout, words) for name, checkout in checkouts.items()}
    times = {name: [read_times(worker)] for name, worker in workers.items()}
    for _ in range(options.turns):
        for name, worker in workers.items():
            print("go", file=worker.stdin, flush=True)
            times[name].append(read_times(worker))
    print("| checkout | CPU s, best | median | wall s, best | median | unit, ms |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, turns in times.items():
        # The first call compiles.
        cpu, wall, unit = np.array(turns[1:]).T
        print(
            f"| {name} | {cpu.min():.3f} | {np.median(cpu):.3f} | {wall.min():.3f} "
            f"| {np.median(wall):.3f} | {1e3 * np.median(unit):.0f} |"
        )
    for worker in workers.values():
        worker.kill()


def start(checkout: Path, words: list[str]) -> subprocess.Popen[str]:
    """Start the worker of a checkout, whose packages it imports."""
    return subprocess.Popen(
        [sys.executable, __file__, str(checkout), *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_times(worker: subprocess.Popen[str]) -> tuple[float, ...]:
    """Wait for a call of a worker; return CPU time, wall time and unit in seconds."""
    assert worker.stdout is not None
    return tuple(map(float, worker.stdout.readline().split()))


def work(program: str, name: str, overrides: list[str]) -> None:
    """Call a program once, then once for each line of the standard input."""
    call = PROGRAMS[program](name, overrides)
    while True:
        unit = measure_unit()
        start_cpu, start_wall = time.process_time(), time.perf_counter()
        call()
        call_cpu = time.process_time() - start_cpu
        print(call_cpu, time.perf_counter() - start_wall, unit, flush=True)
        if not sys.stdin.readline():
            return


def make_click(name: str, overrides: list[str]) -> Callable[[], Any]:
    """Return a click on noise with the bundled model, or a random ViT-B of a name."""
    import jax
    from ml_collections import FrozenConfigDict

    import mst_jax
    from mst_jax.interaction.inference_options import zoom_options_of
    from mst_jax.models.load import parameter_shapes
    from mst_jax.models.trained_model import TrainedModel

    rng = np.random.default_rng(0)
    if name == BUNDLED_MODEL:
        model = mst_jax.load(name)
    else:
        model_config: dict[str, Any] = dict(name=name, size="base", crop=IMAGE_SIDE)
        module = mst_jax.build(**model_config)
        params = jax.tree.map(
            lambda leaf: 0.02 * rng.normal(size=leaf.shape).astype(np.float32),
            parameter_shapes(module),
        )
        config = FrozenConfigDict({"model": model_config})
        model = TrainedModel(jax.device_put(params), module, config)
    # The region of interest does not grow: each click is one forward pass.
    predictor = mst_jax.Predictor(model, zoom=zoom_options_of(model))
    predictor.set_image(
        rng.integers(0, 256, (IMAGE_SIDE, IMAGE_SIDE, 3)).astype(np.uint8)
    )

    def click() -> Any:
        predictor.reset()
        return predictor.click(IMAGE_SIDE // 3, IMAGE_SIDE // 3)

    return click


def make_step(name: str, overrides: list[str]) -> Callable[[], Any]:
    """Return a training step of a config."""
    import jax
    from throughput import draw_batch

    from mst_jax.training.config import read_config
    from mst_jax.training.training_run import build_run

    run = build_run(read_config(["--config", name, *overrides]))
    batch = draw_batch(run.options.batch, run.options.crop)
    # The step reuses the memory of the state that it is given: keep the newest only.
    newest_state = [run.state]

    def step() -> Any:
        newest_state[0], metrics = run.train_step(newest_state[0], batch)
        return jax.block_until_ready(metrics["loss"])

    return step


PROGRAMS = {"click": make_click, "step": make_step}

if __name__ == "__main__":
    main()
