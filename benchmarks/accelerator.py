"""Measure an accelerator in a fixed time: parity, training, attention, evaluation.

python benchmarks/accelerator.py --out gpu_report

Measurements are made in turn until the time is over. Each is written to `report.json`
and `report.md` as soon as it is made, so that a process that is killed loses one.
`tools/on_gpu.sh` runs this for ten minutes.
"""

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from evaluation import BenchmarkCase, time_case
from throughput import change_config, count_flops, time_step
from unit import measure_seconds

from mst_jax.atomic_io import atomic_write
from mst_jax.compilation_cache import add_cache_flag, enable_compilation_cache
from mst_jax.layers.dot_product_attention import (
    dot_product_attention,
    plain_attention,
)
from mst_jax.models.build import build
from mst_jax.models.load import parameter_shapes
from mst_jax.structs import Clicks
from mst_jax.training import telemetry

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of all measurements.

    Attributes:
        models: Names of the models.
        size: Size of their ViT.
        crop: Height and width of the images in pixels.
        model_options: Other arguments of the models.
        batches: Numbers of examples on each device in the training steps.
        num_steps: Number of timed steps.
        attention_shape: Examples, heads, tokens and width of a head.
        num_objects: Objects of the evaluation.
        max_clicks: Clicks on each of them.
    """

    models: tuple[str, ...] = ("simpleclick", "mst", "adaptiveclick")
    size: str = "base"
    crop: int = 448
    model_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    batches: tuple[int, ...] = (16, 32, 64)
    num_steps: int = 10
    attention_shape: tuple[int, int, int, int] = (32, 12, 784, 64)
    num_objects: int = 16
    max_clicks: int = 10


SCALES = {
    "full": Scale(),
    # For tests on a CPU.
    "tiny": Scale(
        models=("simpleclick",),
        size="nano",
        crop=64,
        model_options=dict(
            depth=1, width=16, num_heads=2, pyramid_widths=(8, 8, 8, 8), decoder_width=8
        ),
        batches=(1, 2),
        num_steps=1,
        attention_shape=(1, 1, 512, 8),
        num_objects=1,
        max_clicks=1,
    ),
}


def main() -> None:
    """Measure until the time is over; see the text at the beginning of this file."""
    parser = argparse.ArgumentParser(prog="python benchmarks/accelerator.py")
    parser.add_argument("--out", required=True, help="folder of the report")
    parser.add_argument("--scale", choices=tuple(SCALES), default="full")
    parser.add_argument("--seconds", type=float, default=540.0, help="time limit")
    add_cache_flag(parser)
    flags = parser.parse_args()
    enable_compilation_cache(flags.compilation_cache)
    end_time = time.monotonic() + flags.seconds
    out_folder = Path(flags.out)
    out_folder.mkdir(parents=True, exist_ok=True)
    device = jax.devices()[0]
    report: Row = dict(
        device=device.device_kind,
        num_devices=jax.device_count(),
        jax=jax.__version__,
        scale=flags.scale,
        sections={},
        skipped=[],
    )
    for section, name, measure in list_measurements(SCALES[flags.scale]):
        if time.monotonic() > end_time:
            report["skipped"].append(f"{section}: {name}")
        else:
            start_time = time.monotonic()
            row: Row = dict(name=name, **try_to_measure(measure))
            row["seconds_in_total"] = time.monotonic() - start_time
            report["sections"].setdefault(section, []).append(row)
            print(section, row, flush=True)
        write_report(out_folder, report)


def try_to_measure(measure: Callable[[], Row]) -> Row:
    """Return a measurement, or the first line of its error: the next one may work."""
    try:
        return measure()
    # Out of memory, or a kernel that the device does not have.
    except (jax.errors.JaxRuntimeError, NotImplementedError) as error:
        return dict(error=str(error).splitlines()[0][:120])


def list_measurements(
    scale: Scale,
) -> Iterator[tuple[str, str, Callable[[], Row]]]:
    """Return section, name and function of each measurement, the first ones first."""
    for kind, attend in (("kernel", dot_product_attention), ("plain", plain_attention)):
        yield (
            "attention",
            f"{kind}, forward and backward",
            lambda attend=attend: measure_attention(scale, attend),
        )
    for model in scale.models:
        yield "parity", model, lambda model=model: measure_parity(scale, model)
    # Every model once before the next batch: the time may not suffice for all.
    for batch, model in itertools.product(scale.batches, scale.models):
        yield (
            "training",
            f"{model} {scale.size}, {batch} examples a device",
            lambda model=model, batch=batch: measure_training(scale, model, batch),
        )
    yield "evaluation", f"simpleclick {scale.size}", lambda: measure_evaluation(scale)


def measure_attention(scale: Scale, attend: Callable[..., jax.Array]) -> Row:
    """Time attention in bfloat16 and compare it with float32."""
    keys = jax.random.split(jax.random.key(0), 3)
    tokens = [jax.random.normal(key, scale.attention_shape) for key in keys]
    half_tokens = [array.astype(jnp.bfloat16) for array in tokens]

    def loss_of(*tokens: jax.Array) -> jax.Array:
        return jnp.square(attend(*tokens).astype(jnp.float32)).sum()

    gradient = jax.jit(jax.grad(loss_of, argnums=(0, 1, 2)))
    jax.block_until_ready(gradient(*half_tokens))
    seconds = measure_seconds(
        lambda: [gradient(*half_tokens) for _ in range(scale.num_steps)]
    )
    with jax.default_matmul_precision("highest"):
        exact = jax.jit(plain_attention)(*[x.astype(jnp.float32) for x in half_tokens])
    error = jnp.abs(jax.jit(attend)(*half_tokens).astype(jnp.float32) - exact).max()
    compiled = gradient.lower(*half_tokens).compile()
    memory: Any = compiled.memory_analysis()
    return dict(
        milliseconds=1e3 * seconds / scale.num_steps,
        max_error=float(error),
        temporary_mib=memory.temp_size_in_bytes / 2**20,
    )


def measure_parity(scale: Scale, model: str) -> Row:
    """Compare logits with those of the CPU in float32, relative to the largest."""
    rng = np.random.default_rng(0)
    image_shape = (1, scale.crop, scale.crop)
    clicks = Clicks.from_lists([(scale.crop // 2, scale.crop // 2)])
    inputs = (
        rng.random((*image_shape, 3), np.float32),
        jax.tree.map(lambda leaf: leaf[None], clicks),
        np.zeros(image_shape, np.float32),
    )
    options: Row = dict(size=scale.size, crop=scale.crop, **scale.model_options)
    shapes = parameter_shapes(build(model, **options))
    params = jax.tree.map(
        lambda leaf: np.asarray(0.02 * rng.normal(size=leaf.shape), np.float32), shapes
    )

    def predict(device: jax.Device, dtype: str) -> np.ndarray:  # pyright: ignore[reportInvalidTypeForm]
        module = build(model, dtype=dtype, **options)
        arguments = jax.device_put((params, inputs), device)

        def predict_logits(params: Any, inputs: tuple) -> jax.Array:
            outputs: Any = module.apply({"params": params}, *inputs)
            return outputs.logits

        with jax.default_matmul_precision("highest"):
            return np.asarray(jax.jit(predict_logits)(*arguments))

    expected = predict(jax.devices("cpu")[0], "float32")
    largest = np.abs(expected).max()
    errors = {
        f"{dtype}_error": float(
            np.abs(predict(jax.devices()[0], dtype) - expected).max() / largest
        )
        for dtype in ("float32", "bfloat16")
    }
    return dict(**errors, largest_logit=float(largest))


def measure_training(scale: Scale, model: str, batch: int) -> Row:
    """Time training steps without rounds."""
    model_flags = [
        f"--config.model.{name}={value}" for name, value in scale.model_options.items()
    ]
    config = change_config(
        f"configs/sbd.py:model={model},size={scale.size}",
        [f"--config.crop={scale.crop}", *model_flags],
        batch * jax.device_count(),
        without_rounds=True,
    )
    step_seconds = time_step(config, scale.num_steps)
    device_peak = telemetry.peak_flops(jax.devices()[0].device_kind)
    row = dict(
        step_seconds=step_seconds,
        examples_per_second=config.batch / step_seconds,
        **telemetry.memory_metric(),
    )
    if device_peak is not None:
        flops = count_flops(config)
        row["mfu"] = flops / step_seconds / device_peak / jax.device_count()
    return row


def measure_evaluation(scale: Scale) -> Row:
    """Time clicks of the evaluation, batched and one by one."""
    costs = time_case(
        BenchmarkCase(
            dict(
                size=scale.size,
                crop=scale.crop,
                dtype="bfloat16",
                **scale.model_options,
            ),
            scale.crop,
            num_objects=scale.num_objects,
            max_clicks=scale.max_clicks,
            num_repeats=1,
        )
    )
    return {
        f"clicks_per_second_{form.replace(' ', '_')}": 1
        / costs[form, True].wall_seconds
        for form in ("one by one", "batched")
    }


def write_report(folder: Path, report: Row) -> None:
    """Write the report as JSON and as Markdown."""
    lines = [
        f"# {report['num_devices']} x {report['device']}, jax {report['jax']}, "
        f"scale {report['scale']}"
    ]
    for section, rows in report["sections"].items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines += ["", f"## {section}", "", f"| {' | '.join(columns)} |"]
        lines.append("|---" * len(columns) + "|")
        for row in rows:
            cells = [format_cell(row.get(column, "")) for column in columns]
            lines.append(f"| {' | '.join(cells)} |")
    if report["skipped"]:
        lines += ["", f"No time for: {'; '.join(report['skipped'])}"]
    atomic_write(folder / "report.md", ("\n".join(lines) + "\n").encode())
    atomic_write(folder / "report.json", json.dumps(report, indent=2).encode())


def format_cell(value: Any) -> str:
    """Return a number with three digits, and other values unchanged."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
