"""Average the metrics of training steps and log them in `metrics.jsonl`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mst_jax.atomic_io import PathLike, atomic_write

METRICS_FILE = "metrics.jsonl"

# Metrics that are finite as long as the run has not diverged.
FINITE_METRICS = ("loss", "gradient_norm", "parameter_norm")


class DivergedError(ArithmeticError):
    """The loss, its gradient or a parameter is no longer finite."""


def mean_metrics(
    step_metrics: Sequence[Mapping[str, np.ndarray | np.floating]], *, first_step: int
) -> dict[str, float]:
    """Average the metrics of consecutive steps; the learning rate is that of the last.

    A metric is nan in a step that does not have it (a round of clicks that was not
    run). Such a step does not count; a metric that no step has is left out.

    Args:
        step_metrics: One mapping of scalars for each step.
        first_step: Number of the first step.

    Returns:
        Name -> mean.

    Raises:
        DivergedError: A loss or norm is not finite; the message names the step.
    """
    # 1. A run that diverges ends before its state is saved.
    for step, metrics in enumerate(step_metrics, first_step):
        for name in FINITE_METRICS:
            if not math.isfinite(metrics[name]):
                raise DivergedError(f"{name} is {float(metrics[name])} at step {step}")
    # 2. Means over the steps that have the metric.
    known_values = {
        name: [
            metrics[name] for metrics in step_metrics if not math.isnan(metrics[name])
        ]
        for name in step_metrics[0]
    }
    means = {
        name: float(np.mean(values)) for name, values in known_values.items() if values
    }
    return means | {"learning_rate": float(step_metrics[-1]["learning_rate"])}


def truncate_after(path: PathLike, *, step: int) -> None:
    """Drop the lines after a step, and a last line that is incomplete.

    A killed run has logged more steps than its last checkpoint contains. The resumed
    run repeats these steps and must not log them twice.

    Args:
        path: The log; nothing happens if it does not exist.
        step: The last step to keep.
    """
    if not path.exists():
        return
    kept_lines = []
    for line in path.read_text().splitlines():
        try:
            # Steps ascend: the first later one ends what is kept.
            if json.loads(line)["step"] > step:
                break
        except (json.JSONDecodeError, KeyError, TypeError):
            break
        kept_lines.append(line + "\n")
    atomic_write(path, "".join(kept_lines).encode())


def append_metrics(path: PathLike, step: int, metrics: Mapping[str, float]) -> None:
    """Append one JSON object with the metrics of a step.

    Args:
        path: The log.
        step: Number of updates done; the first key of the object.
        metrics: Name -> value.
    """
    line = json.dumps({"step": step, **metrics}) + "\n"
    if isinstance(path, Path):
        with path.open("a") as file:
            file.write(line)
    else:
        # A file in a bucket cannot grow, it can only be written again.
        old_content = path.read_bytes() if path.exists() else b""
        atomic_write(path, old_content + line.encode())
