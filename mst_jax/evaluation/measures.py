"""How many clicks did it take? Numbers from curves of IoU against clicks.

A *curve* is what one object gives: its IoU after 1, 2, 3 ... clicks, each 0 to 1. A
session may stop early (the wanted IoU was reached), so curves differ in length: a
stopped session keeps its last IoU from then on. Clicks after `max_clicks` do not count.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

# IoUs come as float32, and its 0.9 lies below 0.9.
_ROUNDING = 1e-7

Curve = Sequence[float] | Float[np.ndarray, " _"]  # each of its own length


def clicks_needed(ious: Curve, *, target_iou: float, max_clicks: int = 20) -> int:
    """Clicks of one object until IoU >= `target_iou`; `max_clicks` if it never was.

    Source: the NoC of the click literature, spec "Numbers". An object that reaches the
    target with its last click and one that never does both count `max_clicks`;
    `is_failure` tells them apart.
    """
    enough = _reached(ious, target_iou)[:max_clicks]
    return int(enough.argmax()) + 1 if enough.any() else max_clicks


def is_failure(ious: Curve, *, target_iou: float, max_clicks: int = 20) -> bool:
    """True if the object never reached `target_iou` in `max_clicks` clicks."""
    return not _reached(ious, target_iou)[:max_clicks].any()


def number_of_clicks(
    curves: Sequence[Curve], *, target_iou: float, max_clicks: int = 20
) -> float:
    """NoC@q: the mean of `clicks_needed` over the objects, 1 to `max_clicks`."""
    limits = {"target_iou": target_iou, "max_clicks": max_clicks}
    return float(np.mean([clicks_needed(ious, **limits) for ious in _some(curves)]))


def number_of_failures(
    curves: Sequence[Curve], *, target_iou: float, max_clicks: int = 20
) -> int:
    """NoF@q: how many objects never reached `target_iou` in `max_clicks` clicks."""
    limits = {"target_iou": target_iou, "max_clicks": max_clicks}
    return sum(is_failure(ious, **limits) for ious in _some(curves))


def mean_ious(
    curves: Sequence[Curve], *, max_clicks: int = 20
) -> Float[np.ndarray, " t"]:
    """mIoU@k for k = 1 .. `max_clicks`: the mean over objects of the IoU at click k.

    A session that stopped early keeps its last IoU; the numbers are those of full
    sessions only if none stopped.
    """
    return np.mean([_lengthen(ious, max_clicks) for ious in _some(curves)], axis=0)


def seconds_per_click(seconds: Sequence[float], clicks: Sequence[int]) -> float:
    """SPC: all seconds of all sessions by all their clicks (not a mean of means).

    Args:
        seconds: time of each session, without compilation.
        clicks: clicks of each session, at least one in all.
    """
    if len(seconds) != len(clicks) or sum(clicks) < 1:
        raise ValueError(
            f"got {len(seconds)} times and {len(clicks)} click counts, {sum(clicks)} "
            f"clicks in all; give one time a session and at least one click"
        )
    return float(sum(seconds)) / sum(clicks)


def _reached(ious: Curve, target_iou: float) -> Bool[np.ndarray, " t"]:
    """True at the clicks after which the IoU was at least `target_iou`."""
    return _check(ious) >= target_iou - _ROUNDING


def _lengthen(ious: Curve, max_clicks: int) -> Float[np.ndarray, " t"]:
    """The curve with exactly `max_clicks` values, its last one repeated."""
    ious = _check(ious)[:max_clicks]
    return np.pad(ious, (0, max_clicks - len(ious)), mode="edge")


def _check(ious: Curve) -> Float[np.ndarray, " t"]:
    """The curve as float64; ValueError if it is empty or leaves 0 to 1."""
    ious = np.asarray(ious, np.float64)
    if ious.ndim != 1 or not len(ious) or not ((ious >= 0) & (ious <= 1)).all():
        raise ValueError(
            f"a curve is a list of IoU values from 0 to 1, one a click and at least "
            f"one, got {ious.tolist()}"
        )
    return ious


def _some(curves: Sequence[Curve]) -> Sequence[Curve]:
    """The curves themselves; ValueError if there are none."""
    if not len(curves):
        raise ValueError(
            "no object was evaluated; give at least one curve of IoU values"
        )
    return curves
