"""The shapes that users of Segment Anything know, opened and closed at the door.

(x, y) becomes (row, column) here. Source of the shapes: Kirillov et al., Segment
Anything, ICCV 2023, its published `SamPredictor.predict`.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.inference.click_session import Click, Session

# Logits are finite: a probability stays so far away from 0 and 1.
_CLOSEST = 1e-6

Answer = tuple[
    Bool[np.ndarray, "1 h w"], Float[np.ndarray, " 1"], Float[np.ndarray, "1 h w"]
]


def open_points(
    coords: Sequence | np.ndarray, labels: Sequence | np.ndarray, session: Session
) -> tuple[Click, ...]:
    """Points [n 2] of x and y with labels [n] as clicks, in their order.

    Raises:
        ValueError: other shapes, no point, a label that is not 1 or 0, a point outside
            the picture.
    """
    try:
        coords, labels = np.asarray(coords, np.float64), np.asarray(labels, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"point_coords {coords} with point_labels {labels}, expected "
            "[[x, y], ...] and [1, 0, ...]"
        ) from None
    if coords.shape != (*labels.shape, 2) or labels.ndim != 1 or not labels.size:
        raise ValueError(
            f"point_coords are {list(coords.shape)} and point_labels "
            f"{list(labels.shape)}, expected [n 2] and [n], at least one point"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"point_labels are {labels.tolist()}, expected 1 or 0 each")
    return tuple(
        session.click_at(y, x, label)
        for (x, y), label in zip(coords, labels, strict=True)
    )


def open_mask_input(
    logits: Sequence | np.ndarray, height: int, width: int
) -> Float[np.ndarray, "{height} {width}"]:
    """Logits [1 h' w'] or [h' w'] of any size as the probability of a picture.

    Raises:
        ValueError: another shape or kind, or logits that are not finite.
    """
    try:
        logits = np.asarray(logits)
    except ValueError:
        raise ValueError(
            "mask_input has rows of different lengths, expected logits [1 h w], such as "
            "an earlier answer"
        ) from None
    one = logits[0] if logits.ndim == 3 and len(logits) == 1 else logits
    is_real = one.dtype.kind in "biuf"
    if not is_real or one.ndim != 2 or not one.size or not np.isfinite(one).all():
        raise ValueError(
            f"mask_input is {logits.dtype} {list(logits.shape)}, expected finite logits "
            "[1 h w], such as an earlier answer"
        )
    one = one.astype(np.float32)
    one = cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.exp(-np.logaddexp(0.0, -one, dtype=np.float32))


def answer(prob: Float[np.ndarray, "h w"]) -> Answer:
    """A probability as (masks, scores, logits), one of each.

    Returns:
        The mask, where the probability is above 0.49; its expected IoU; finite logits of
        full size, -13.8 where the probability is 0.
    """
    mask = prob > THRESHOLD
    certain = np.clip(prob.astype(np.float64), _CLOSEST, 1 - _CLOSEST)
    logits = np.log(certain / (1 - certain)).astype(np.float32)
    score = np.array([expected_iou(prob, mask)], np.float32)
    return mask[None], score, logits[None]


def expected_iou(
    prob: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Expected intersection by expected union of a mask and the object, 0 to 1.

    As if each pixel belonged to the object with its probability, independently: the
    model's own opinion, not calibrated. 0 for an empty mask.
    """
    shared = prob[mask].sum(dtype=np.float64)
    union = np.count_nonzero(mask) + prob[~mask].sum(dtype=np.float64)
    return float(shared / union) if mask.any() else 0.0
