"""Sessions of one data set -> the numbers that papers report, ready for JSON."""

import itertools
from collections.abc import Sequence

import numpy as np

from mst_jax.evaluation import metrics
from mst_jax.evaluation.session_record import Record

QUALITIES = (80, 85, 90, 95)
"""The wanted IoUs of NoC and NoF, in percent."""

SIZES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Shares of the picture that part objects by size."""


def summarise(
    dataset: str,
    records: Sequence[Record],
    *,
    max_clicks: int = 20,
    stop_iou: float = 1.01,
    settings: dict | None = None,
) -> dict:
    """All numbers of one evaluation: strings, numbers, lists and dicts only.

    Sessions that stop at a wanted IoU give the same NoC and NoF up to it as full ones;
    what they do not tell is left out.

    Args:
        dataset: its name.
        records: one an object, or one an object and user; at least one.
        max_clicks: what an object counts that never reached the wanted IoU.
        stop_iou: the IoU at which sessions stopped; above 1: they did not.
        settings: what else the numbers depend on (checkpoint, zoom ...); kept as given.

    Returns:
        `dataset`; `num_objects`; `settings`; by the wanted IoU, as "80", "85" ...: `noc`,
        `noc_std` (over sessions), `noc_interval` (of the mean, 95 %, by bootstrap over
        objects) and `nof`; `miou` and `miou_std`, after 1, 2 ... clicks, and
        `boundary_iou`, after the last one; `by_size`, see `_by_size`; `users`, see
        `_by_user`; `spc` and `seconds`; `objects`, see `Record.to_plain`.
    """
    if not records:
        raise ValueError("no object was evaluated; give at least one record")
    percents = [q for q in QUALITIES if q / 100 <= stop_iou]
    clicks = {str(q): _clicks(records, q, max_clicks) for q in percents}
    curves = [metrics.lengthen(record.ious, max_clicks) for record in records]
    whole = stop_iou > 1
    seconds = [record.seconds for record in records]
    limits = {"max_clicks": max_clicks}
    return {
        "dataset": dataset,
        "num_objects": len({record.id for record in records}),
        "settings": {
            **(settings or {}),
            "max_clicks": max_clicks,
            "stop_iou": stop_iou,
        },
        "noc": {q: float(clicks[q].mean()) for q in clicks},
        "noc_std": {q: float(clicks[q].std()) for q in clicks},
        "noc_interval": {
            q: list(metrics.bootstrap_interval(_by_object(records, clicks[q])))
            for q in clicks
        },
        "nof": {
            str(q): metrics.number_of_failures(curves, target_iou=q / 100, **limits)
            for q in percents
        },
        "miou": np.mean(curves, axis=0).tolist() if whole else [],
        "miou_std": np.std(curves, axis=0).tolist() if whole else [],
        "boundary_iou": float(np.mean([record.boundary_iou for record in records])),
        "by_size": _by_size(records, clicks, curves),
        "users": _by_user(records, clicks),
        "spc": metrics.seconds_per_click(seconds, [len(one.ious) for one in records]),
        "seconds": float(sum(seconds)),
        "objects": [record.to_plain() for record in records],
    }


def _clicks(records: Sequence[Record], percent: int, max_clicks: int) -> np.ndarray:
    """[n] clicks that each session needed."""
    limits = {"target_iou": percent / 100, "max_clicks": max_clicks}
    return np.array(
        [metrics.clicks_needed(record.ious, **limits) for record in records]
    )


def _by_object(records: Sequence[Record], values: np.ndarray) -> np.ndarray:
    """Means over the users of each object: these are what a bootstrap may draw."""
    ids = np.array([record.id for record in records])
    _, number = np.unique(ids, return_inverse=True)
    return np.bincount(number, values) / np.bincount(number)


def _by_size(
    records: Sequence[Record], clicks: dict[str, np.ndarray], curves: Sequence
) -> list[dict]:
    """NoC by the objects' size, as in MST's analysis; sizes without object left out.

    Each: `least` and `most` share of the picture (the least inclusive), `num_sessions`,
    `noc`, `noc_std` and `nof` as above.
    """
    shares = np.array([record.share for record in records])
    best = np.max(curves, axis=1)
    found = []
    for least, most in itertools.pairwise(SIZES):
        here = (shares >= least) & ((shares < most) | (most == SIZES[-1]))
        if here.any():
            found.append(
                {
                    "least": least,
                    "most": most,
                    "num_sessions": int(here.sum()),
                    "noc": {q: float(clicks[q][here].mean()) for q in clicks},
                    "noc_std": {q: float(clicks[q][here].std()) for q in clicks},
                    "nof": {
                        q: int((best[here] < int(q) / 100 - metrics.ROUNDING).sum())
                        for q in clicks
                    },
                }
            )
    return found


def _by_user(records: Sequence[Record], clicks: dict[str, np.ndarray]) -> list[dict]:
    """NoC of each user by itself: `seed` and `noc`; one entry for the ideal user."""
    seeds = np.array([record.seed for record in records])
    return [
        {
            "seed": int(seed),
            "noc": {q: float(clicks[q][seeds == seed].mean()) for q in clicks},
        }
        for seed in np.unique(seeds)
    ]
