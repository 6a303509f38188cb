"""Convert arguments and results of the predictor interface of Segment Anything.

Points are (x, y) there and become (row, column) here. Source of the arguments and shapes:
Kirillov et al., Segment Anything, ICCV 2023, its published `SamPredictor`; Ravi et al.,
SAM 2, 2024, its published `SAM2ImagePredictor`.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.inference.box_prompt import center_of_box, parse_box, roi_of_box
from mst_jax.inference.click_session import Click, ClickSession

# Minimum distance of a probability from 0 and 1, so that logits are finite.
_MIN_PROB = 1e-6

# (masks or logits, scores, logits), one of each
SamOutput = tuple[
    Bool[np.ndarray, "1 h w"] | Float[np.ndarray, "1 h w"],
    Float[np.ndarray, " 1"],
    Float[np.ndarray, "1 h w"],
]


class SamPrompt(NamedTuple):
    """Prompt of one prediction.

    Attributes:
        clicks: Clicks, in order, at least one.
        prob: [h w] probability that replaces the previous mask; None = there is none.
        roi: [4] region of interest that a box gives; None = there is no box.
    """

    clicks: tuple[Click, ...]
    prob: Float[np.ndarray, "h w"] | None
    roi: Int[np.ndarray, " 4"] | None


def parse_image(image: Any, image_format: str) -> UInt8[np.ndarray, "h w 3"]:
    """Convert an image to RGB.

    Args:
        image: [h w 3] uint8, or anything that NumPy converts to that, such as an image
            of Pillow in mode RGB.
        image_format: "RGB" or "BGR" (OpenCV), order of the channels.

    Raises:
        ValueError: Another shape, dtype or format.
    """
    if image_format not in ("RGB", "BGR"):
        raise ValueError(f"image_format is {image_format!r}, expected 'RGB' or 'BGR'")
    try:
        pixels = np.asarray(image)
    except (TypeError, ValueError):
        raise ValueError(
            f"image is a {type(image).__name__}, expected an array uint8 [h w 3]"
        ) from None
    shape, dtype = pixels.shape, pixels.dtype
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            f"image is {dtype} {list(shape)}, expected uint8 [h w 3]; "
            "read it as RGB from 0 to 255"
        )
    return pixels if image_format == "RGB" else pixels[..., ::-1]


def parse_prompt(
    session: ClickSession,
    *,
    point_coords: Any,
    point_labels: Any,
    box: Any,
    mask_input: Any,
    normalize_coords: bool,
    min_side: int,
) -> SamPrompt:
    """Convert the prompt of `predict`: points, a box and the logits of a mask.

    Args:
        session: Session with the image.
        point_coords: [n 2] x and y of points; None = no points.
        point_labels: [n] 1 = on the object, 0 = not on it.
        box: [4] x and y of two corners; None = no box.
        mask_input: [1 h' w'] logits of an earlier prediction; None = none.
        normalize_coords: False = coordinates are fractions of width and height.
        min_side: Minimum height and width of a region of interest in pixels.

    Raises:
        ValueError: An argument has another shape or values, or there is no prompt.
    """
    if point_coords is None and point_labels is None and box is None:
        raise ValueError(
            "there is no prompt, expected point_coords with point_labels, or box"
        )
    height, width = session.height, session.width
    unit = (1.0, 1.0) if normalize_coords else (float(width), float(height))
    clicks, roi = (), None
    if point_coords is not None or point_labels is not None:
        clicks = parse_points(point_coords, point_labels, session, unit=unit)
    if box is not None:
        # The center of the box is a click unless there is a better one.
        corners = parse_box(box, height, width, unit=unit)
        if not any(click.is_positive for click in clicks):
            clicks = (center_of_box(corners, session), *clicks)
        roi = roi_of_box(corners, clicks, session, min_side=min_side)
    prob = None if mask_input is None else parse_mask_input(mask_input, height, width)
    return SamPrompt(clicks, prob, roi)


def parse_points(
    coords: Any,
    labels: Any,
    session: ClickSession,
    *,
    unit: tuple[float, float] = (1.0, 1.0),
) -> tuple[Click, ...]:
    """Convert points and labels to clicks, in order.

    Args:
        coords: [n 2] or [1 n 2] x and y of the points, at least one point.
        labels: [n] or [1 n] 1 = on the object, 0 = not on it.
        session: Session whose image the points must lie in.
        unit: Width and height in pixels of a coordinate of 1.

    Raises:
        ValueError: Other shapes, no point, another label, or a point outside the image.
    """
    # 1. Shapes and labels, before any point is looked at.
    try:
        coord_array = np.asarray(coords, np.float64)
        label_array = np.asarray(labels, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"point_coords is a {type(coords).__name__} and point_labels a "
            f"{type(labels).__name__} of other values than numbers, expected "
            "[[x, y], ...] and [1, 0, ...]"
        ) from None
    # SAM 2 takes a leading axis of one object.
    if coord_array.ndim == 3 and label_array.ndim == 2 and len(coord_array) == 1:
        coord_array, label_array = coord_array[0], label_array.reshape(-1)
    is_list = label_array.ndim == 1 and label_array.size
    if coord_array.shape != (*label_array.shape, 2) or not is_list:
        raise ValueError(
            f"point_coords are {list(coord_array.shape)} and point_labels "
            f"{list(label_array.shape)}, expected [n 2] and [n], at least one point"
        )
    if not np.isin(label_array, (0, 1)).all():
        raise ValueError(
            f"point_labels are {np.unique(label_array).tolist()}, expected 1 or 0 each"
        )
    # 2. (x, y) becomes (row, column); each point must lie in the image.
    return tuple(
        session.make_click(y * unit[1], x * unit[0], label == 1)
        for (x, y), label in zip(coord_array, label_array, strict=True)
    )


def parse_mask_input(
    logits: Any, height: int, width: int
) -> Float[np.ndarray, "{height} {width}"]:
    """Convert logits of any size to a probability at the size of the image.

    Args:
        logits: [1 h' w'] or [h' w'] logits, such as those of an earlier prediction; or a
            mask, bool.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: Another shape or dtype, logits that are not finite, or values that are
            a probability or a mask instead of logits.
    """
    try:
        logit_array = np.asarray(logits)
    except ValueError:
        raise ValueError(
            "mask_input has rows of different lengths, expected logits [1 h w], such as "
            "those of an earlier prediction"
        ) from None
    is_single = logit_array.ndim == 3 and len(logit_array) == 1
    logit_map = logit_array[0] if is_single else logit_array
    is_map = logit_map.dtype.kind in "biuf" and logit_map.ndim == 2 and logit_map.size
    if not is_map or not np.isfinite(logit_map).all():
        raise ValueError(
            f"mask_input is {logit_array.dtype} {list(logit_array.shape)}, expected "
            "finite logits [1 h w], such as those of an earlier prediction"
        )
    # True and False are certain; probabilities and label maps are not logits.
    if logit_map.dtype == bool:
        logit_map = _logit(logit_map)
    elif logit_map.min() >= 0 and (
        logit_map.dtype.kind in "iu" or logit_map.max() <= 1
    ):
        raise ValueError(
            f"mask_input has values from {logit_map.min():g} to {logit_map.max():g}, "
            "expected logits, which are below 0 outside the object; pass a mask as bool, "
            "log(p / (1 - p)) of a probability, or None for no mask"
        )
    resized = cv2.resize(
        logit_map.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    # The sigmoid in a form that does not overflow.
    return np.exp(-np.logaddexp(0.0, -resized, dtype=np.float32))


def format_output(
    prob: Float[np.ndarray, "h w"], *, return_logits: bool = False
) -> SamOutput:
    """Convert a probability to (masks, scores, logits), one of each.

    Args:
        prob: [h w] probability, 0 to 1.
        return_logits: Whether the first array is the logits instead of the mask.

    Returns:
        [1 h w] mask, where the probability is above 0.49; [1] its expected IoU; [1 h w]
        finite logits, -13.8 where the probability is 0.
    """
    mask = prob > MASK_THRESHOLD
    logits = _logit(prob)[None]
    score = np.array([expected_iou(prob, mask)], np.float32)
    return logits.copy() if return_logits else mask[None], score, logits


def _logit(
    prob: Float[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w"]:
    """Return finite logits of a probability, float32."""
    # A probability of exactly 0 or 1 would give infinite logits.
    inner_prob = np.clip(np.asarray(prob, np.float64), _MIN_PROB, 1 - _MIN_PROB)
    return np.log(inner_prob / (1 - inner_prob)).astype(np.float32)


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
