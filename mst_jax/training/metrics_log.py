"""Numbers of a run, for people and programs: `metrics.jsonl`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mst_jax.atomic_io import Place, write_whole

METRICS = "metrics.jsonl"


class Diverged(ArithmeticError):
    """The loss, its gradient or a parameter is not a number any more."""


def mean_of_steps(
    rows: Sequence[Mapping[str, np.ndarray | np.floating]], *, first_step: int
) -> dict[str, float]:
    """Means of the metrics of successive steps; the learning rate is the last one.

    A step that has nothing to tell about a metric, which is nan there (a round of clicks
    that was not played), does not count for it; a metric without any is left out.

    Args:
        rows: one mapping of scalars for each step.
        first_step: number of the first row's step.

    Raises:
        Diverged: a loss or norm is not finite; names the step.
    """
    for number, row in enumerate(rows, first_step):
        for name in ("loss", "gradient_norm", "parameter_norm"):
            if not math.isfinite(row[name]):
                raise Diverged(f"{name} is {float(row[name])} at step {number}")
    told = {
        name: [row[name] for row in rows if not math.isnan(row[name])]
        for name in rows[0]
    }
    means = {name: float(np.mean(values)) for name, values in told.items() if values}
    return means | {"learning_rate": float(rows[-1]["learning_rate"])}


def keep_until(path: Place, *, step: int) -> None:
    """Drops the lines after `step`, and a last line that was cut off.

    A run that was killed has written more than its last checkpoint knows; the resumed
    run does those steps again and must not write them twice.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] > step:
                break
        except (json.JSONDecodeError, KeyError, TypeError):
            break
        kept.append(line + "\n")
    write_whole(path, "".join(kept).encode())


def write_line(path: Place, step: int, metrics: Mapping[str, float]) -> None:
    """Appends one JSON object; `step` comes first."""
    line = json.dumps({"step": step, **metrics}) + "\n"
    if isinstance(path, Path):
        with path.open("a") as file:
            file.write(line)
    else:  # what lies in a bucket cannot grow, only be written again
        before = path.read_bytes() if path.exists() else b""
        write_whole(path, before + line.encode())
