"""Sessions of one data set -> the numbers that papers report, ready for JSON."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from mst_jax.evaluation import measures

QUALITIES = (80, 85, 90, 95)
"""The wanted IoUs of NoC and NoF, in percent."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What happened to one object.

    Attributes:
        id: name of the object within its data set.
        ious: [t] IoU after each click, 0 to 1.
        clicks: [t 3] row, column and 1 = positive or 0 = negative.
        seconds: time of the session without compilation.
    """

    id: str
    ious: Float[np.ndarray, " t"]
    clicks: Int[np.ndarray, "t 3"]
    seconds: float


def summarise(
    dataset: str,
    records: Sequence[Record],
    *,
    max_clicks: int = 20,
    settings: dict | None = None,
) -> dict:
    """All numbers of one evaluation: strings, numbers, lists and dicts only.

    Args:
        dataset: its name.
        records: one an object, at least one.
        max_clicks: what an object counts that never reached the wanted IoU.
        settings: what else the numbers depend on (checkpoint, zoom ...); kept as given.

    Returns:
        `dataset`; `num_objects`; `settings`; `noc` and `nof`, each by the wanted IoU as
        "80", "85" ...; `miou`, `max_clicks` values, after 1, 2 ... clicks; `spc` and
        `seconds`; `objects`, each with `id`, `ious` and `clicks`.
    """
    curves = [record.ious for record in records]
    seconds = [record.seconds for record in records]
    wanted = {
        str(percent): {"target_iou": percent / 100, "max_clicks": max_clicks}
        for percent in QUALITIES
    }
    return {
        "dataset": dataset,
        "num_objects": len(records),
        "settings": {**(settings or {}), "max_clicks": max_clicks},
        "noc": {q: measures.number_of_clicks(curves, **wanted[q]) for q in wanted},
        "nof": {q: measures.number_of_failures(curves, **wanted[q]) for q in wanted},
        "miou": measures.mean_ious(curves, max_clicks=max_clicks).tolist(),
        "spc": measures.seconds_per_click(seconds, [len(ious) for ious in curves]),
        "seconds": float(sum(seconds)),
        "objects": [
            {
                "id": record.id,
                "ious": np.asarray(record.ious, np.float64).tolist(),
                "clicks": np.asarray(record.clicks).tolist(),
            }
            for record in records
        ],
    }
