"""Convert arguments and results of the predictor interface of Segment Anything.

Points are (x, y) there and become (row, column) here. Source of the shapes: Kirillov et
al., Segment Anything, ICCV 2023, its published `SamPredictor.predict`.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.inference.click_session import Click, ClickSession

# Minimum distance of a probability from 0 and 1, so that logits are finite.
_MIN_PROB = 1e-6

# (masks, scores, logits), one of each
SamOutput = tuple[
    Bool[np.ndarray, "1 h w"], Float[np.ndarray, " 1"], Float[np.ndarray, "1 h w"]
]


def parse_points(
    coords: Sequence | np.ndarray, labels: Sequence | np.ndarray, session: ClickSession
) -> tuple[Click, ...]:
    """Convert points and labels to clicks, in order.

    Args:
        coords: [n 2] x and y of the points in pixels, at least one point.
        labels: [n] 1 = on the object, 0 = not on it.
        session: Session whose image the points must lie in.

    Raises:
        ValueError: Other shapes, no point, another label, or a point outside the image.
    """
    # 1. Shapes and labels, before any point is looked at.
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
    # 2. (x, y) becomes (row, column); each point must lie in the image.
    return tuple(
        session.make_click(y, x, bool(label))
        for (x, y), label in zip(coords, labels, strict=True)
    )


def parse_mask_input(
    logits: Sequence | np.ndarray, height: int, width: int
) -> Float[np.ndarray, "{height} {width}"]:
    """Convert logits of any size to a probability at the size of the image.

    Args:
        logits: [1 h' w'] or [h' w'] logits, such as those of an earlier prediction.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: Another shape or dtype, or logits that are not finite.
    """
    try:
        logits = np.asarray(logits)
    except ValueError:
        raise ValueError(
            "mask_input has rows of different lengths, expected logits [1 h w], such as "
            "those of an earlier prediction"
        ) from None
    logit_map = logits[0] if logits.ndim == 3 and len(logits) == 1 else logits
    is_map = logit_map.dtype.kind in "biuf" and logit_map.ndim == 2 and logit_map.size
    if not is_map or not np.isfinite(logit_map).all():
        raise ValueError(
            f"mask_input is {logits.dtype} {list(logits.shape)}, expected finite logits "
            "[1 h w], such as those of an earlier prediction"
        )
    resized = cv2.resize(
        logit_map.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    # The sigmoid in a form that does not overflow.
    return np.exp(-np.logaddexp(0.0, -resized, dtype=np.float32))


def format_output(prob: Float[np.ndarray, "h w"]) -> SamOutput:
    """Convert a probability to (masks, scores, logits), one of each.

    Args:
        prob: [h w] probability, 0 to 1.

    Returns:
        [1 h w] mask, where the probability is above 0.49; [1] its expected IoU; [1 h w]
        finite logits, -13.8 where the probability is 0.
    """
    # A probability of exactly 0 or 1 would give infinite logits.
    mask = prob > MASK_THRESHOLD
    inner_prob = np.clip(prob.astype(np.float64), _MIN_PROB, 1 - _MIN_PROB)
    logits = np.log(inner_prob / (1 - inner_prob)).astype(np.float32)
    score = np.array([expected_iou(prob, mask)], np.float32)
    return mask[None], score, logits[None]


def expected_iou(
    prob: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Compute the expected intersection over the expected union of a mask, 0 to 1.

    Each pixel is assumed to belong to the object with its probability, independently of
    the others: the model's own estimate, not calibrated. An empty mask gives 0.

    Args:
        prob: [h w] probability of the object.
        mask: [h w] predicted mask.
    """
    intersection = prob[mask].sum(dtype=np.float64)
    union = np.count_nonzero(mask) + prob[~mask].sum(dtype=np.float64)
    return float(intersection / union) if mask.any() else 0.0
