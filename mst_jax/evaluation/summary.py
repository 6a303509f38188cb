"""Summarize the sessions of one dataset by the metrics that papers report."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from mst_jax.atomic_io import atomic_write
from mst_jax.evaluation import metrics
from mst_jax.evaluation.results_log import SessionRecord
from mst_jax.evaluation.simulation import NEVER_STOP

# Target IoUs of NoC and NoF, in percent.
IOU_PERCENTS = (80, 85, 90, 95)

# Edges of the object size bins: area of the object relative to the image's.
AREA_FRACTION_EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)

# JSON values as `summarize_sessions` returns them.
Summary = dict[str, Any]

# [n] clicks needed by each session, by the target IoU: "80", "85" ...
ClicksByIou = Mapping[str, Int[np.ndarray, " n"]]


def summarize_sessions(
    dataset: str,
    records: Sequence[SessionRecord],
    *,
    max_clicks: int = 20,
    stop_iou: float = NEVER_STOP,
    settings: Mapping[str, Any] | None = None,
) -> Summary:
    """Compute all metrics of one evaluation: strings, numbers, lists and dicts only.

    Sessions that stop at a target IoU give the same NoC and NoF up to it as full ones;
    metrics that need full sessions are left out.

    Args:
        dataset: Name of the dataset.
        records: One record for each object, or for each object and user; at least one.
        max_clicks: Clicks counted for an object that never reached the target IoU.
        stop_iou: IoU at which the sessions stopped; above 1 = never.
        settings: What else the metrics depend on (checkpoint, zoom ...); stored
            unchanged.

    Returns:
        `dataset`; `num_objects`; `settings`; by the target IoU, as "80", "85" ...: `noc`,
        `noc_std` (over sessions), `noc_ci95` (95 % confidence interval of the mean, by
        bootstrap over objects) and `nof`; `miou`, `miou_std` and `miou_ci95` after 1, 2
        ... clicks, `boundary_iou` and `boundary_iou_ci95` after the last one; `by_size`,
        see `_metrics_by_size`; `by_user`, see `_noc_by_user`; `seconds_per_click` and
        `total_seconds`; `objects`, see `SessionRecord.to_json`.

    Raises:
        ValueError: There is no record.
    """
    if not records:
        raise ValueError("no object was evaluated; give at least one record")
    iou_percents = [
        iou_percent for iou_percent in IOU_PERCENTS if iou_percent / 100 <= stop_iou
    ]
    # 1. Clicks that each session needed, for each target IoU that it could reach.
    clicks_by_iou = {
        str(iou_percent): _clicks_needed(records, iou_percent, max_clicks)
        for iou_percent in iou_percents
    }
    # 2. Curves of full length, for the metrics after a given number of clicks.
    iou_curves = [
        metrics.extend_iou_curve(record.ious, max_clicks) for record in records
    ]
    boundary_ious = np.array([record.boundary_iou for record in records])
    session_seconds = [record.seconds for record in records]
    # 3. The IoU after further clicks of a stopped session is unknown.
    is_full = stop_iou > 1
    return {
        "dataset": dataset,
        "num_objects": len({record.id for record in records}),
        "settings": {
            **(settings or {}),
            "max_clicks": max_clicks,
            "stop_iou": stop_iou,
        },
        "noc": {key: float(clicks.mean()) for key, clicks in clicks_by_iou.items()},
        "noc_std": {key: float(clicks.std()) for key, clicks in clicks_by_iou.items()},
        "noc_ci95": {
            key: _interval_over_objects(records, clicks)
            for key, clicks in clicks_by_iou.items()
        },
        "nof": {
            str(iou_percent): metrics.number_of_failures(
                iou_curves, target_iou=iou_percent / 100, max_clicks=max_clicks
            )
            for iou_percent in iou_percents
        },
        "miou": np.mean(iou_curves, axis=0).tolist() if is_full else [],
        "miou_std": np.std(iou_curves, axis=0).tolist() if is_full else [],
        "miou_ci95": [
            _interval_over_objects(records, ious)
            for ious in (np.transpose(iou_curves) if is_full else ())
        ],
        "boundary_iou": float(boundary_ious.mean()),
        "boundary_iou_ci95": _interval_over_objects(records, boundary_ious),
        "by_size": _metrics_by_size(records, clicks_by_iou, iou_curves),
        "by_user": _noc_by_user(records, clicks_by_iou),
        "seconds_per_click": metrics.seconds_per_click(
            session_seconds, [len(record.ious) for record in records]
        ),
        "total_seconds": float(sum(session_seconds)),
        "objects": [record.to_json() for record in records],
    }


def _clicks_needed(
    records: Sequence[SessionRecord], iou_percent: int, max_clicks: int
) -> Int[np.ndarray, " n"]:
    """Return the [n] clicks that each session needed to a target IoU in percent."""
    return np.array(
        [
            metrics.clicks_needed(
                record.ious, target_iou=iou_percent / 100, max_clicks=max_clicks
            )
            for record in records
        ]
    )


def _interval_over_objects(
    records: Sequence[SessionRecord], values: Num[np.ndarray, " n"]
) -> list[float]:
    """Return the 95 % confidence interval of the mean of [n] values of the sessions."""
    # Sessions of one object are not independent, so they are not resampled one by one:
    # the units of the bootstrap are the means over the users of each object.
    object_ids = np.array([record.id for record in records])
    _, object_index = np.unique(object_ids, return_inverse=True)
    object_means = np.bincount(object_index, values) / np.bincount(object_index)
    return list(metrics.bootstrap_interval(object_means))


def _metrics_by_size(
    records: Sequence[SessionRecord],
    clicks_by_iou: ClicksByIou,
    iou_curves: Sequence[Float[np.ndarray, " t"]],
) -> list[dict[str, Any]]:
    """Compute NoC and NoF by the size of the objects, as in MST's analysis.

    Returns:
        For each size bin with an object: `min_area_fraction` (inclusive) and
        `max_area_fraction`, `num_sessions`, `noc`, `noc_std` and `nof` by the target IoU.
    """
    area_fractions = np.array([record.area_fraction for record in records])
    max_ious = np.max(iou_curves, axis=1)
    size_bins = []
    for min_fraction, max_fraction in itertools.pairwise(AREA_FRACTION_EDGES):
        # The last bin includes objects that fill the whole image.
        is_below = (area_fractions < max_fraction) | (
            max_fraction == AREA_FRACTION_EDGES[-1]
        )
        in_bin = (area_fractions >= min_fraction) & is_below
        if not in_bin.any():
            continue
        size_bins.append(
            {
                "min_area_fraction": min_fraction,
                "max_area_fraction": max_fraction,
                "num_sessions": int(in_bin.sum()),
                "noc": {
                    iou_key: float(clicks_by_iou[iou_key][in_bin].mean())
                    for iou_key in clicks_by_iou
                },
                "noc_std": {
                    iou_key: float(clicks_by_iou[iou_key][in_bin].std())
                    for iou_key in clicks_by_iou
                },
                "nof": {
                    iou_key: _num_below(max_ious[in_bin], int(iou_key) / 100)
                    for iou_key in clicks_by_iou
                },
            }
        )
    return size_bins


def _num_below(ious: Float[np.ndarray, " n"], target_iou: float) -> int:
    """Count the IoUs below a target."""
    return int((ious < target_iou - metrics.IOU_TOLERANCE).sum())


def _noc_by_user(
    records: Sequence[SessionRecord], clicks_by_iou: ClicksByIou
) -> list[dict[str, Any]]:
    """Compute the NoC of each simulated user: `seed` and `noc` by the target IoU."""
    user_seeds = np.array([record.seed for record in records])
    return [
        {
            "seed": int(seed),
            "noc": {
                iou_key: float(clicks_by_iou[iou_key][user_seeds == seed].mean())
                for iou_key in clicks_by_iou
            },
        }
        for seed in np.unique(user_seeds)
    ]


def write_summaries(path: Path, summaries: Sequence[Summary]) -> None:
    """Write summaries to a JSON file.

    Args:
        path: File to write; an older one is replaced when the new one is complete.
        summaries: Summary of each dataset.
    """
    # NaN is not JSON, and no metric is NaN.
    json_text = json.dumps({"datasets": summaries}, allow_nan=False)
    atomic_write(path, f"{json_text}\n".encode())


def read_summaries(path: Path) -> list[Summary]:
    """Read the JSON file of an earlier evaluation.

    Args:
        path: File that `write_summaries` wrote.

    Raises:
        ValueError: It is another file.
    """
    try:
        return json.loads(path.read_bytes())["datasets"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not the JSON of an evaluation") from None
