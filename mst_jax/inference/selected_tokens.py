"""Find and draw the fine and coarse tokens that a model selected, as boxes."""

import math
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mst_jax.inference.click_session import ClickSession, to_click_slots
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import ClickModelFn, crop_roi
from mst_jax.models.trained_model import TrainedModel
from mst_jax.structs import Clicks, SelectedTokens, TokenSelectionOutput

FINE_COLOR, COARSE_COLOR = (255, 214, 10), (64, 196, 255)
"""RGB of the tokens of each scale."""

_TINT_OPACITY = 0.55  # of a fine token with score 1


class TokenBoxes(NamedTuple):
    """Selected tokens of one scale.

    Attributes:
        boxes: [m 4] top, left, bottom, right in pixels of the image, highest score first.
        scores: [m] selection scores, 0 to 1.
    """

    boxes: Float[np.ndarray, "m 4"]
    scores: Float[np.ndarray, " m"]


def find_selected_tokens(
    model: TrainedModel,
    image: Float[Array, "1 h w 3"],
    size: Int[Array, "1 2"],
    clicks: Clicks,
    prob: Float[Array, "1 h w"],
    roi: Int[Array, "1 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[tuple[TokenSelectionOutput, ...], Int[Array, "1 4"]]:
    """Run the model once, without flip, and return the selected tokens; safe under jit.

    Args:
        model: Trained model.
        image: [1 h w 3] RGB, 0 to 1; the image fills the upper left corner.
        size: [1 2] height and width of the image without padding.
        clicks: [1 k] clicks in pixels of the image.
        prob: [1 h w] probability of the last prediction.
        roi: [1 4] region of interest of the last prediction; -1 = none.
        zoom: Zoom options of that prediction.

    Returns:
        The output of each token selection (none for a model without token selection) and
        the [1 4] region of interest that the network saw.
    """
    crop, roi_clicks, roi = crop_roi(image, size, clicks, prob, roi, zoom=zoom)
    outputs = model.forward(crop[..., :3], roi_clicks, crop[..., 3])
    return outputs.selections, roi


def to_token_boxes(
    tokens: SelectedTokens,
    roi: Int[np.ndarray, " 4"],
    *,
    crop_size: tuple[int, int],
) -> TokenBoxes:
    """Compute the boxes of one example's selected tokens of one scale.

    Args:
        tokens: Selected tokens of one example, without the batch axis.
        roi: [4] region of interest: top, bottom, left, right, inclusive.
        crop_size: Height and width in pixels of the crop that the network saw.
    """
    # The tokens cover the crop, so their number gives their side.
    num_tokens = tokens.scores.shape[-1]
    token_side = math.isqrt(crop_size[0] * crop_size[1] // num_tokens)
    index = np.asarray(tokens.index)[np.asarray(tokens.selected)]
    row, column = np.divmod(index, crop_size[1] // token_side)
    # 1. Boxes in pixels of the crop. 2. Scaled and shifted into the image.
    boxes = np.stack([row, column, row + 1, column + 1], axis=-1) * float(token_side)
    top, bottom, left, right = (float(edge) for edge in roi)
    scale_y = (bottom - top + 1) / crop_size[0]
    scale_x = (right - left + 1) / crop_size[1]
    scale = np.tile([scale_y, scale_x], 2)
    boxes = boxes * scale + np.array([top, left, top, left])
    return TokenBoxes(boxes, np.asarray(tokens.scores)[index].astype(float))


def token_boxes_of_scales(
    selection: TokenSelectionOutput,
    roi: Int[np.ndarray, " 4"] | None = None,
    *,
    image_size: tuple[int, int],
    zoom_size: int | None = None,
) -> tuple[TokenBoxes, TokenBoxes]:
    """Compute the boxes of one example's fine and coarse tokens.

    Args:
        selection: Output of a token selection for one example, without the batch axis.
        roi: [4] region of interest: top, bottom, left, right, inclusive; required with
            `zoom_size`.
        image_size: Height and width of the image in pixels.
        zoom_size: Side in pixels of the crop that the network saw; None = it saw the
            whole image.
    """
    # Without zoom the crop is the whole image.
    crop_size = image_size if zoom_size is None else (zoom_size, zoom_size)
    if zoom_size is None:
        roi = np.array([0, image_size[0] - 1, 0, image_size[1] - 1])
    if roi is None:
        raise ValueError("zoom_size is given without roi; pass the region of interest")
    fine = to_token_boxes(selection.fine, roi, crop_size=crop_size)
    return fine, to_token_boxes(selection.coarse, roi, crop_size=crop_size)


def token_boxes_of_session(
    model: ClickModelFn, session: ClickSession, *, zoom: ZoomOptions
) -> tuple[tuple[TokenBoxes, TokenBoxes], ...]:
    """Find the tokens that a model selects, given the current clicks and mask.

    Args:
        model: Trained model with token selection.
        session: Session with at least one click on the current object.
        zoom: Zoom options of the predictor.

    Returns:
        Fine and coarse tokens of each token selection, in the order of the blocks.

    Raises:
        ValueError: The model has no token selection, or there is no click yet.
    """
    state = session.current
    if not state.clicks:
        raise ValueError("there is no click yet, so no token is selected; click first")
    if not isinstance(model, TrainedModel):
        raise ValueError(
            "this model is a plain function, which returns no tokens; use a model from "
            "mst_jax.load"
        )
    selections, roi = find_selected_tokens_jit(
        model,
        session.image.astype(jnp.float32) / 255.0,
        np.array([[session.height, session.width]], np.int32),
        to_click_slots(state.clicks),
        state.prob,
        state.roi,
        zoom=zoom,
    )
    if not selections:
        raise ValueError(
            "this model selects no tokens; use one of the recipes mst or mst_adaptive"
        )
    image_size = session.height, session.width
    selections, roi = jax.tree.map(lambda leaf: leaf[0], (selections, roi))
    return tuple(
        token_boxes_of_scales(
            selection, np.asarray(roi), image_size=image_size, zoom_size=zoom.size
        )
        for selection in selections
    )


def draw_token_boxes(
    image: UInt8[np.ndarray, "h w 3"], fine: TokenBoxes, coarse: TokenBoxes
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the outlines of the tokens and tint the fine ones by their scores.

    Args:
        image: [h w 3] RGB; it is not changed.
        fine: Selected fine tokens.
        coarse: Selected coarse tokens.

    Returns:
        [h w 3] a new image.
    """
    # 1. Tint the fine tokens, in proportion to their scores.
    drawn = np.ascontiguousarray(image).copy()
    tint = np.asarray(FINE_COLOR, np.float32)
    for box, score in zip(fine.boxes, fine.scores, strict=True):
        top, left, bottom, right = np.rint(box).astype(int)
        pixels = drawn[top:bottom, left:right]
        opacity = _TINT_OPACITY * score
        pixels[:] = np.rint((1 - opacity) * pixels + opacity * tint)
    # 2. Outlines, coarse ones last: a coarse token covers several fine ones.
    thickness = max(1, round(0.004 * math.sqrt(image.shape[0] * image.shape[1])))
    for boxes, color, line_width in (
        (fine.boxes, FINE_COLOR, 1),
        (coarse.boxes, COARSE_COLOR, thickness),
    ):
        for top, left, bottom, right in np.rint(boxes).astype(int).tolist():
            corners = (left, top), (right - 1, bottom - 1)
            cv2.rectangle(drawn, *corners, color, line_width)
    return drawn


find_selected_tokens_jit = jax.jit(find_selected_tokens, static_argnames=("zoom",))
"""`find_selected_tokens`, compiled once for each zoom and size of image."""
