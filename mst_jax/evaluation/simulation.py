"""One object, clicked to the end: the whole session is one compiled program."""

import dataclasses
import time

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mst_jax.evaluation.ahead_of_time import compiled
from mst_jax.evaluation.protocol import Protocol, play
from mst_jax.interaction.padding import pad, padded_size
from mst_jax.interaction.zoom_predict import Model, as_tree


@dataclasses.dataclass(frozen=True)
class Session:
    """What happened while one object was clicked, n clicks in all.

    Attributes:
        clicks: [n 3] row, column, and 1 = positive or 0 = negative.
        ious: [n] overlap with the target after each click, 0 to 1.
        rois: [n 4] what the network saw after each click: top, bottom, left, right,
            inclusive; -1 without zoom.
        prob: [h w] last probability, float32.
        seconds: per click: running the compiled program and fetching its result.
    """

    clicks: Int[np.ndarray, "n 3"]
    ious: Float[np.ndarray, " n"]
    rois: Int[np.ndarray, "n 4"]
    prob: Float[np.ndarray, "h w"]
    seconds: float


def simulate(
    model: Model,
    image_uint8: np.ndarray,
    target: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    stop_iou: float = 1.01,
    seed: int = 0,
    **settings: int | float | bool | str | None,
) -> Session:
    """Lets the evaluation's user click one object.

    The program is compiled once for each model and size of picture (sizes are rounded
    up, see `padded_size`) and kept for the next call. A model that JAX knows as a tree
    may come with other parameters without being compiled again.

    Args:
        model: `(image [b h w 3] 0 to 1, clicks, previous [b h w]) -> logits [b h w]`.
        image_uint8: [h w 3] RGB.
        target: [h w] True on the wanted object.
        valid: [h w] False on pixels that do not count; None: all count.
        stop_iou: the session ends when this overlap is reached; above 1: never.
        seed: of a user who draws clicks.
        settings: of `Protocol`: `max_clicks`, `zoom`, `zoom_min_side`, `mirror` ...

    Raises:
        ValueError: a picture that is not uint8 [h w 3], masks of another size, an empty
            target, a setting out of range.
    """
    protocol = Protocol(**settings)
    target, valid = checked_masks(image_uint8, target, valid)
    height, width = target.shape
    padded = padded_size(height, width, zoom=protocol.zoom)
    pictures = [pad(x, padded) for x in (image_uint8, target, valid)]
    size = np.array([[height, width]], np.int32)
    arguments = (as_tree(model), pictures[0], size, *pictures[1:])
    seeds = np.array([seed], np.int32)
    arguments = jax.device_put((*arguments, seeds, np.float32(stop_iou)))
    run = compiled(play, *arguments, protocol=protocol)
    begin = time.perf_counter()
    end = jax.device_get(run(*arguments))
    num = int(end.num_rounds[0])
    return Session(
        clicks=list_clicks(end.clicks.yx[0], end.clicks.label[0])[:num],
        ious=end.ious[0, :num],
        rois=end.regions[0, :num],
        prob=end.prob[0, :height, :width],
        seconds=(time.perf_counter() - begin) / num,
    )


def list_clicks(
    yx: Float[np.ndarray, "k 2"], label: Int[np.ndarray, " k"]
) -> Int[np.ndarray, "k 3"]:
    """Rows of row, column, and 1 = positive, 0 = negative or -1 = empty."""
    return np.column_stack([yx, label]).astype(np.int32)


def checked_masks(
    image: np.ndarray, target: np.ndarray, valid: np.ndarray | None
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Returns bool masks; raises ValueError for what cannot be evaluated."""
    shape, kind = np.shape(image), getattr(image, "dtype", type(image).__name__)
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            f"image is {kind} {list(shape)}, expected uint8 [h w 3]; "
            "read it as RGB from 0 to 255"
        )
    valid = np.ones(shape[:2], bool) if valid is None else valid
    for name, mask in (("target", target), ("valid", valid)):
        if np.shape(mask) != shape[:2]:
            raise ValueError(
                f"{name} is {list(np.shape(mask))}, expected {list(shape[:2])} like the "
                "image; resize one to the other"
            )
    target, valid = np.asarray(target) != 0, np.asarray(valid) != 0
    if not (target & valid).any():
        raise ValueError(
            "target has no valid pixel, expected an object; leave this example out"
        )
    return target, valid
