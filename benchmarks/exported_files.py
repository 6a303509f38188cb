"""Measure a forward pass in JAX and in exported files, in one run.

python benchmarks/exported_files.py mst-small

The programs take turns, so that other work on the machine slows all of them. Exporting
takes a minute; the files are temporary.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from unit import measure_seconds

import mst_jax
from mst_jax import export
from mst_jax.models.load import with_compute_dtype

FLAGS_OF_FILE = {
    "network.onnx": (),
    "float16.onnx": ("--half",),
    "network.stablehlo": (),
    "bfloat16.stablehlo": ("--dtype", "bfloat16"),
}
"""Exported files, and the flags of the command that writes each."""


def main() -> None:
    """Print a row for each program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="model to load")
    parser.add_argument("--repeats", type=int, default=7, help="calls of each program")
    options = parser.parse_args()
    model = mst_jax.load(options.model)
    models: dict[str, Callable[..., Any]] = {
        f"JAX, {dtype}": with_compute_dtype(model, dtype)
        for dtype in ("float32", "bfloat16")
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in FLAGS_OF_FILE.items():
            path = Path(folder, name)
            export.main([options.model, str(path), *flags])
            models[name] = mst_jax.load_exported(path)
        height, width = mst_jax.load_exported(Path(folder, "network.onnx")).size
        for name, seconds in time_models(
            models, height, width, options.repeats
        ).items():
            print(f"| {name} | {seconds:.2f} |")


def time_models(
    models: dict[str, Callable[..., Any]], height: int, width: int, repeats: int
) -> dict[str, float]:
    """Return the median seconds of a forward pass of one image, after the first one.

    Args:
        models: Name -> model.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        repeats: Number of calls of each model.
    """
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.random((1, height, width, 3), np.float32))
    clicks = jax.tree.map(lambda leaf: leaf[None], mst_jax.Clicks.from_lists([(9, 9)]))
    prev_mask = jnp.zeros((1, height, width))
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(repeats + 1):
        for name, model in models.items():
            call = lambda model=model: model(image, clicks, prev_mask)  # noqa: E731
            seconds[name].append(measure_seconds(call))
    return {name: float(np.median(times[1:])) for name, times in seconds.items()}


if __name__ == "__main__":
    main()
