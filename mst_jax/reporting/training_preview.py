"""Draw training examples with the model's predictions as one image."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import UInt8

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.inference.overlay import draw_overlay
from mst_jax.inference.selected_tokens import draw_token_boxes, token_boxes_of_scales
from mst_jax.reporting.session_sheet import TARGET_COLOR
from mst_jax.reporting.training_samples import VisualizationBatch
from mst_jax.structs import TokenSelectionOutput

# Gap between images, in pixels of the images.
GAP_PIXELS = 4
GAP_COLOR = 255

# Images with a smaller height are enlarged by repeating pixels.
MIN_IMAGE_HEIGHT = 192


def draw_examples(examples: VisualizationBatch) -> UInt8[np.ndarray, "h w 3"]:
    """Draw one row for each example.

    A row has the ground truth with the clicks, the predicted mask, the probability, and
    one image for each token selection of the model.

    Args:
        examples: Examples with predictions.
    """
    # One transfer from the device, then NumPy only.
    numpy_examples = jax.tree.map(np.asarray, examples)
    num_examples, image_height = numpy_examples.prob.shape[:2]
    image_rows = [
        _draw_example(jax.tree.map(lambda leaf, i=index: leaf[i], numpy_examples))
        for index in range(num_examples)
    ]
    sheet_image = _join_images(
        [_join_images(image_row, axis=1) for image_row in image_rows], axis=0
    )
    # Whole repeats keep pixels sharp, so single clicks stay visible.
    num_repeats = -(-MIN_IMAGE_HEIGHT // image_height)
    return sheet_image.repeat(num_repeats, axis=0).repeat(num_repeats, axis=1)


def _draw_example(example: VisualizationBatch) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Draw the images of one example, whose arrays have no batch axis."""
    image, target = np.asarray(example.batch.image), np.asarray(example.batch.target)
    prob = np.asarray(example.prob)
    is_filled = np.asarray(example.clicks.is_filled)
    clicks = np.column_stack([example.clicks.yx, example.clicks.label])[is_filled]
    gray_prob = np.rint(255 * prob).astype(np.uint8)
    return [
        draw_overlay(image, target, clicks, color=TARGET_COLOR),
        draw_overlay(image, prob > MASK_THRESHOLD),
        gray_prob[..., None].repeat(3, axis=-1),
        *(_draw_selection(image, selection) for selection in example.selections),
    ]


def _draw_selection(
    image: UInt8[np.ndarray, "h w 3"], selection: TokenSelectionOutput
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the selected tokens of one token selection."""
    # In training the network sees the whole image, without zoom.
    image_height, image_width = image.shape[:2]
    fine_boxes, coarse_boxes = token_boxes_of_scales(
        selection, image_size=(image_height, image_width)
    )
    return draw_token_boxes(image, fine_boxes, coarse_boxes)


def _join_images(
    joined_images: Sequence[UInt8[np.ndarray, "h w 3"]], *, axis: int
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Join images along an axis, with gaps between them."""
    gap_shape = list(joined_images[0].shape)
    gap_shape[axis] = GAP_PIXELS
    gap_image = np.full(gap_shape, GAP_COLOR, np.uint8)
    joined_pieces = [
        joined_piece for image in joined_images for joined_piece in (image, gap_image)
    ]
    # No gap after the last image.
    return np.concatenate(joined_pieces[:-1], axis=axis)
