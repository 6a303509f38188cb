"""Which fine and coarse tokens does the model look at? As boxes in the picture."""

import math
from typing import NamedTuple

import cv2
import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mst_jax.interaction.zoom_predict import predict
from mst_jax.models.load import TrainedModel
from mst_jax.structs import Chosen, Clicks, TokenChoice

FINE, COARSE = (255, 214, 10), (64, 196, 255)
"""RGB of the tokens of each scale."""

_TINT = 0.55  # of a fine token with score 1


class Cells(NamedTuple):
    """Chosen tokens of one scale.

    Attributes:
        boxes: [m 4] top, left, bottom, right in pixels of the picture, best first.
        scores: [m] 0 to 1.
    """

    boxes: Float[np.ndarray, "m 4"]
    scores: Float[np.ndarray, " m"]


def find_choices(
    model: TrainedModel,
    image: Float[Array, "1 h w 3"],
    size: Int[Array, "1 2"],
    clicks: Clicks,
    prob: Float[Array, "1 h w"],
    region: Int[Array, "1 4"],
    *,
    zoom: int | None,
    zoom_min_side: int,
) -> tuple[tuple[TokenChoice, ...], Int[Array, "1 4"]]:
    """Predicts once more and returns what was chosen on the way, and the region seen.

    Arguments as in `interaction.zoom_predict.predict`; jit safe.
    """
    choices = []

    def look(image: Array, clicks: Clicks, previous: Array) -> Array:
        outputs = model.look(image, clicks, previous)
        choices.extend(outputs.choices)
        return outputs.logits

    _, region = predict(
        look,
        image,
        size,
        clicks,
        prob,
        region,
        zoom=zoom,
        zoom_min_side=zoom_min_side,
        mirror=False,
    )
    return tuple(choices), region


def to_cells(
    chosen: Chosen,
    region: Int[np.ndarray, " 4"],
    *,
    seen: tuple[int, int],
) -> Cells:
    """Finds the places of one example's chosen tokens in the picture.

    Args:
        chosen: of one example, without the batch's axis.
        region: [4] what the network saw: top, bottom, left, right, inclusive.
        seen: rows and columns that the network saw it with.
    """
    side = math.isqrt(seen[0] * seen[1] // chosen.scores.shape[-1])
    kept = np.asarray(chosen.kept)
    index = np.asarray(chosen.index)[kept]
    row, column = np.divmod(index, seen[1] // side)
    boxes = np.stack([row, column, row + 1, column + 1], axis=-1) * float(side)
    top, bottom, left, right = (float(edge) for edge in region)
    scale = np.array([(bottom - top + 1) / seen[0], (right - left + 1) / seen[1]])
    boxes = boxes * np.tile(scale, 2) + np.array([top, left, top, left])
    return Cells(boxes, np.asarray(chosen.scores)[index].astype(float))


def both_scales(
    choice: TokenChoice,
    region: Int[np.ndarray, " 4"] | None = None,
    *,
    whole: tuple[int, int],
    zoom: int | None = None,
) -> tuple[Cells, Cells]:
    """Finds the places of one example's fine and coarse tokens in the picture.

    Args:
        choice: of one example, without the batch's axis.
        region: [4] what the network saw: top, bottom, left, right, inclusive; wanted
            with `zoom` only.
        whole: rows and columns of the picture.
        zoom: side that the network saw the region with; None: it saw the whole picture.
    """
    seen = whole if zoom is None else (zoom, zoom)
    if zoom is None:
        region = np.array([0, whole[0] - 1, 0, whole[1] - 1])
    fine, coarse = (
        to_cells(scale, region, seen=seen) for scale in (choice.fine, choice.coarse)
    )
    return fine, coarse


def draw_cells(
    image: UInt8[np.ndarray, "h w 3"], fine: Cells, coarse: Cells
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws the tokens' outlines, and tints the fine ones by their scores.

    Returns:
        [h w 3] a new picture.
    """
    picture = np.ascontiguousarray(image).copy()
    tint = np.asarray(FINE, np.float32)
    for box, score in zip(fine.boxes, fine.scores, strict=True):
        top, left, bottom, right = np.rint(box).astype(int)
        part = picture[top:bottom, left:right]
        part[:] = np.rint((1 - _TINT * score) * part + _TINT * score * tint)
    thickness = max(1, round(0.004 * math.sqrt(image.shape[0] * image.shape[1])))
    for boxes, colour, width in (
        (fine.boxes, FINE, 1),
        (coarse.boxes, COARSE, thickness),
    ):
        for top, left, bottom, right in np.rint(boxes).astype(int).tolist():
            corners = (left, top), (right - 1, bottom - 1)
            cv2.rectangle(picture, *corners, colour, width)
    return picture


find_choices_once = jax.jit(find_choices, static_argnames=("zoom", "zoom_min_side"))
"""`find_choices`, compiled once for each view and size of picture."""
