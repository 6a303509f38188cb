"""How many clicks did it take? Numbers from curves of IoU against clicks.

A *curve* is what one object gives: its IoU after 1, 2, 3 ... clicks, each 0 to 1. A
session may stop early (the wanted IoU was reached), so curves differ in length: a
stopped session keeps its last IoU from then on. Clicks after `max_clicks` do not count.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

# IoUs come as float32, and its 0.9 lies below 0.9.
ROUNDING = 1e-7

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
    return np.mean([lengthen(ious, max_clicks) for ious in _some(curves)], axis=0)


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


def lengthen(ious: Curve, max_clicks: int) -> Float[np.ndarray, " t"]:
    """The curve with exactly `max_clicks` values, its last one repeated."""
    ious = _check(ious)[:max_clicks]
    return np.pad(ious, (0, max_clicks - len(ious)), mode="edge")


def bootstrap_interval(
    values: Float[np.ndarray, " n"] | Sequence[float],
    *,
    share: float = 0.95,
    num_draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Where the mean would lie if the set were drawn anew, in `share` of the draws.

    Source: the percentile bootstrap, Efron, 1979.

    Args:
        values: one an object.
        share: of the draws whose means lie inside, 0 to 1.
        num_draws: sets of n objects drawn with replacement.
        seed: of the draws; the same values give the same interval.
    """
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(num_draws, len(values)))
    means = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def boundary_iou(
    predicted: Bool[np.ndarray, "h w"],
    target: Bool[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    *,
    width: float = 0.02,
) -> float:
    """IoU of the inner borders of two masks, 0 to 1; what lies deep inside is left out.

    Source: Cheng et al., Boundary IoU, CVPR 2021. The border of a mask are its pixels at
    most `width` of the picture's diagonal away from its edge, in steps to any of the
    eight neighbours; the edge of the picture is an edge of the mask.

    Args:
        predicted: [h w] True on the mask.
        target: [h w] True on the wanted object.
        valid: [h w] False on pixels that do not count.
        width: of the border, as a share of the diagonal; at least one pixel.
    """
    steps = max(1, round(width * float(np.hypot(*target.shape))))
    mine, wanted = (_border(mask, steps) & valid for mask in (predicted, target))
    either = (mine | wanted).sum()
    return float((mine & wanted).sum() / either) if either else 1.0


def _border(mask: Bool[np.ndarray, "h w"], steps: int) -> Bool[np.ndarray, "h w"]:
    """The pixels of a mask that `steps` erosions by 3x3 pixels take away."""
    outside = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    inner = cv2.erode(outside, np.ones((3, 3), np.uint8), iterations=steps)
    return mask & (inner[1:-1, 1:-1] == 0)


def _reached(ious: Curve, target_iou: float) -> Bool[np.ndarray, " t"]:
    """True at the clicks after which the IoU was at least `target_iou`."""
    return _check(ious) >= target_iou - ROUNDING


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
