"""Compute the metrics of click-based segmentation from curves of IoU against clicks.

An *IoU curve* is the result of one object: its IoU after 1, 2, 3 ... clicks, each 0 to 1.
A session may stop early (it reached the target IoU), so curves differ in length: a stopped
session keeps its last IoU from then on. Clicks after `max_clicks` do not count.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

# IoUs are float32, and 0.9 in float32 is below 0.9 in float64.
IOU_TOLERANCE = 1e-7

IouCurve = Sequence[float] | Float[np.ndarray, " _"]  # curves differ in length


def clicks_needed(
    iou_curve: IouCurve, *, target_iou: float, max_clicks: int = 20
) -> int:
    """Return the number of clicks of one object until IoU >= `target_iou`.

    Source: NoC of the click literature. An object that reaches the target with its last
    click and one that never reaches it both count `max_clicks`; `is_failure` is True only
    for the second.

    Args:
        iou_curve: [t] IoU curve of the object.
        target_iou: IoU to reach, 0 to 1.
        max_clicks: Number of clicks that count, and the result if the target was never
            reached.
    """
    is_reached = _is_reached(iou_curve, target_iou)[:max_clicks]
    # argmax returns the first True: later falls of the IoU do not matter.
    return int(is_reached.argmax()) + 1 if is_reached.any() else max_clicks


def is_failure(iou_curve: IouCurve, *, target_iou: float, max_clicks: int = 20) -> bool:
    """Return whether the object never reached `target_iou` in `max_clicks` clicks.

    Args:
        iou_curve: [t] IoU curve of the object.
        target_iou: IoU to reach, 0 to 1.
        max_clicks: Number of clicks that count.
    """
    return not _is_reached(iou_curve, target_iou)[:max_clicks].any()


def number_of_clicks(
    iou_curves: Sequence[IouCurve], *, target_iou: float, max_clicks: int = 20
) -> float:
    """Compute NoC@q: the mean of `clicks_needed` over the objects, 1 to `max_clicks`.

    Args:
        iou_curves: One IoU curve for each object, at least one.
        target_iou: IoU to reach, 0 to 1.
        max_clicks: Number of clicks that count.
    """
    clicks = [
        clicks_needed(iou_curve, target_iou=target_iou, max_clicks=max_clicks)
        for iou_curve in _require_curves(iou_curves)
    ]
    return float(np.mean(clicks))


def number_of_failures(
    iou_curves: Sequence[IouCurve], *, target_iou: float, max_clicks: int = 20
) -> int:
    """Compute NoF@q: how many objects never reached `target_iou`.

    Args:
        iou_curves: One IoU curve for each object, at least one.
        target_iou: IoU to reach, 0 to 1.
        max_clicks: Number of clicks that count.
    """
    return sum(
        is_failure(iou_curve, target_iou=target_iou, max_clicks=max_clicks)
        for iou_curve in _require_curves(iou_curves)
    )


def mean_ious(
    iou_curves: Sequence[IouCurve], *, max_clicks: int = 20
) -> Float[np.ndarray, " t"]:
    """Compute mIoU@k for k = 1 ... `max_clicks`: the mean IoU over objects at click k.

    A session that stopped early keeps its last IoU; the result is that of full sessions
    only if none stopped.

    Args:
        iou_curves: One IoU curve for each object, at least one.
        max_clicks: Length of the result.
    """
    checked_curves = _require_curves(iou_curves)
    return np.mean(
        [extend_iou_curve(iou_curve, max_clicks) for iou_curve in checked_curves],
        axis=0,
    )


def seconds_per_click(
    session_seconds: Sequence[float], session_clicks: Sequence[int]
) -> float:
    """Compute the seconds per click (SPC): time of all sessions divided by all clicks.

    It is not the mean of the sessions' own means.

    Args:
        session_seconds: Time of each session in seconds, without compilation.
        session_clicks: Number of clicks of each session, at least one in total.

    Raises:
        ValueError: The lengths differ, or there is no click.
    """
    num_clicks = sum(session_clicks)
    if len(session_seconds) != len(session_clicks) or num_clicks < 1:
        raise ValueError(
            f"got {len(session_seconds)} times and {len(session_clicks)} click counts, "
            f"{num_clicks} clicks in total; give one time for each session and at least "
            "one click"
        )
    return float(sum(session_seconds)) / num_clicks


def extend_iou_curve(iou_curve: IouCurve, max_clicks: int) -> Float[np.ndarray, " t"]:
    """Return the curve with exactly `max_clicks` values, its last one repeated.

    Args:
        iou_curve: [t] IoU curve of one object.
        max_clicks: Length of the result.
    """
    iou_curve = _check_iou_curve(iou_curve)[:max_clicks]
    return np.pad(iou_curve, (0, max_clicks - len(iou_curve)), mode="edge")


def bootstrap_interval(
    values: Float[np.ndarray, " n"] | Sequence[float],
    *,
    confidence_level: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute a confidence interval of the mean by the percentile bootstrap.

    Source: Efron, Bootstrap methods: another look at the jackknife, 1979.

    Args:
        values: [n] one value for each object.
        confidence_level: Fraction of the resampled means inside the interval, 0 to 1.
        num_resamples: Number of sets of n objects drawn with replacement.
        seed: Seed of the resampling; the same values and seed give the same interval.

    Returns:
        Lower and upper end of the interval.
    """
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    # Draw whole sets of objects with replacement, all sets at once.
    resample_indices = rng.integers(len(values), size=(num_resamples, len(values)))
    resampled_means = values[resample_indices].mean(axis=1)
    lower_bound, upper_bound = np.quantile(
        resampled_means, [(1 - confidence_level) / 2, (1 + confidence_level) / 2]
    )
    return float(lower_bound), float(upper_bound)


def boundary_iou(
    predicted_mask: Bool[np.ndarray, "h w"],
    target: Bool[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    *,
    boundary_width: float = 0.02,
) -> float:
    """Compute the IoU of the inner boundaries of two masks, 0 to 1.

    The boundary of a mask is the set of its pixels at most `boundary_width` of the
    image's diagonal away from its edge, in steps to any of the eight neighbors; the edge
    of the image is an edge of the mask.

    Source: Cheng et al., Boundary IoU, CVPR 2021.

    Args:
        predicted_mask: [h w] True on the predicted mask.
        target: [h w] True on the target object.
        valid: [h w] False on pixels that do not count.
        boundary_width: Width of the boundary relative to the image's diagonal; at least
            one pixel is used.

    Returns:
        The IoU; 1 if neither mask has a boundary.
    """
    num_steps = max(1, round(boundary_width * float(np.hypot(*target.shape))))
    predicted_boundary = _inner_boundary(predicted_mask, num_steps) & valid
    target_boundary = _inner_boundary(target, num_steps) & valid
    # Pixels that do not count belong to neither boundary.
    num_union = (predicted_boundary | target_boundary).sum()
    num_shared = (predicted_boundary & target_boundary).sum()
    return float(num_shared / num_union) if num_union else 1.0


def _inner_boundary(
    mask: Bool[np.ndarray, "h w"], num_steps: int
) -> Bool[np.ndarray, "h w"]:
    """Return the pixels of a mask that `num_steps` erosions by 3x3 pixels remove."""
    # The border of zeros makes the edge of the image an edge of the mask.
    padded_mask = cv2.copyMakeBorder(
        mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT
    )
    eroded_mask = cv2.erode(
        padded_mask, np.ones((3, 3), np.uint8), iterations=num_steps
    )
    return mask & (eroded_mask[1:-1, 1:-1] == 0)


def _is_reached(iou_curve: IouCurve, target_iou: float) -> Bool[np.ndarray, " t"]:
    """Return True at the clicks after which the IoU was at least `target_iou`."""
    return _check_iou_curve(iou_curve) >= target_iou - IOU_TOLERANCE


def _check_iou_curve(iou_curve: IouCurve) -> Float[np.ndarray, " t"]:
    """Return the curve as float64; raise ValueError if it is empty or leaves 0 to 1."""
    iou_array = np.asarray(iou_curve, np.float64)
    is_vector = iou_array.ndim == 1 and len(iou_array) > 0
    # A comparison with NaN is False, so NaN is rejected as well.
    if not is_vector or not ((iou_array >= 0) & (iou_array <= 1)).all():
        raise ValueError(
            "a curve is a list of IoU values from 0 to 1, one for each click and at "
            f"least one, got {iou_array.tolist()}"
        )
    return iou_array


def _require_curves(iou_curves: Sequence[IouCurve]) -> Sequence[IouCurve]:
    """Return the curves; raise ValueError if there are none."""
    if not len(iou_curves):
        raise ValueError(
            "no object was evaluated; give at least one curve of IoU values"
        )
    return iou_curves
