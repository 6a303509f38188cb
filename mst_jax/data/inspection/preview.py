"""A contact sheet: some images of a dataset with their objects, for inspection."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt16

from mst_jax.data.example import IGNORE_LABEL, Example, list_objects

# Layout of a cell in pixels: largest image, gap to the next cell, line of text.
_IMAGE_WIDTH, _IMAGE_HEIGHT, _CELL_GAP, _LINE_HEIGHT = 280, 230, 10, 20
_PAPER_GRAY, _TEXT_GRAY = 250, 40
_TINT_OPACITY = 0.45  # weight of an object's color in its pixels
_HUE_STEP = 0.61803398875  # golden ratio: consecutive hues are far apart
_LAYER_HUE_OFFSET = 0.37
_MAX_TITLE_LETTERS = 38  # that fit below an image


def evenly_spaced_indices(
    sequence_length: int, *, max_count: int
) -> Int[np.ndarray, " k"]:
    """Return evenly spaced indices of a sequence, the first and the last included.

    Args:
        sequence_length: Length of the sequence, at least 1.
        max_count: Maximum number of indices; a shorter sequence gives all of them.
    """
    index_count = min(sequence_length, max_count)
    return np.unique(
        np.linspace(0, sequence_length - 1, index_count).round().astype(np.int64)
    )


def draw_contact_sheet(
    titled_examples: Sequence[tuple[str, Example]], *, num_columns: int = 5
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw images in rows, each with its objects tinted and outlined.

    Ignored pixels are striped; below an image are its title, its size and the number of
    its objects.

    Args:
        titled_examples: Titles and images, at least one.
        num_columns: Maximum number of images in a row.

    Returns:
        [h w 3] uint8 RGB.
    """
    cell_images = [_draw_cell(title, example) for title, example in titled_examples]
    # Blank cells complete the last row.
    num_columns = min(num_columns, len(cell_images))
    blank_cell = np.full_like(cell_images[0], _PAPER_GRAY)
    cell_images += [blank_cell] * (-len(cell_images) % num_columns)
    cell_rows = [
        np.hstack(cell_images[first_index : first_index + num_columns])
        for first_index in range(0, len(cell_images), num_columns)
    ]
    # A cell has its gap on the right and below, the sheet also on the left and above.
    return np.pad(
        np.vstack(cell_rows),
        ((_CELL_GAP, 0), (_CELL_GAP, 0), (0, 0)),
        constant_values=_PAPER_GRAY,
    )


def tint_objects(
    image: UInt8[np.ndarray, "h w 3"], layers: UInt16[np.ndarray, "l h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Tint each object in its own color and outline it in white.

    Args:
        image: [h w 3] uint8 RGB.
        layers: [l h w] uint16 label maps; ignored pixels are striped in white.

    Returns:
        [h w 3] uint8 RGB.
    """
    tinted_image = image.astype(np.float32)
    is_outline = np.zeros(image.shape[:2], bool)
    for layer_index, labels in enumerate(layers):
        # Layers start at different hues, so that they differ where they overlap.
        first_hue = _LAYER_HUE_OFFSET * layer_index
        label_colors = _distinct_colors(int(labels.max(initial=0)), first_hue=first_hue)
        is_object = (labels > 0) & (labels < IGNORE_LABEL)
        pixel_colors = label_colors[np.where(is_object, labels, 0)]
        tinted_image[is_object] += (
            _TINT_OPACITY * (pixel_colors - tinted_image)[is_object]
        )
        is_outline |= _label_borders(np.where(is_object, labels, np.uint16(0)))
        # Diagonal stripes, 3 pixels wide.
        is_stripe = np.add(*np.indices(labels.shape)) // 3 % 2 == 0
        tinted_image[(labels == IGNORE_LABEL) & is_stripe] = 255.0
    # Outlines last, so that no other layer covers them.
    tinted_image[is_outline] = 255.0
    return np.rint(tinted_image).astype(np.uint8)


def _draw_cell(title: str, example: Example) -> UInt8[np.ndarray, "_ _ 3"]:
    """Draw one image of the sheet with its title, size and number of objects."""
    # 1. Scale image and label maps to the cell.
    height, width = example.image.shape[:2]
    image_scale = min(_IMAGE_WIDTH / width, _IMAGE_HEIGHT / height)
    small_width = max(1, round(width * image_scale))
    small_height = max(1, round(height * image_scale))
    resize_method = cv2.INTER_AREA if image_scale < 1 else cv2.INTER_NEAREST
    small_size = small_width, small_height
    small_image = cv2.resize(example.image, small_size, interpolation=resize_method)
    small_layers = [
        cv2.resize(labels, small_size, interpolation=cv2.INTER_NEAREST)
        for labels in example.layers
    ]
    # 2. Place the tinted image in the middle of the area above the text.
    cell_height = _IMAGE_HEIGHT + 2 * _LINE_HEIGHT + _CELL_GAP
    cell_image = np.full(
        (cell_height, _IMAGE_WIDTH + _CELL_GAP, 3), _PAPER_GRAY, np.uint8
    )
    top_row, left_column = (
        (_IMAGE_HEIGHT - small_height) // 2,
        (_IMAGE_WIDTH - small_width) // 2,
    )
    cell_image[
        top_row : top_row + small_height, left_column : left_column + small_width
    ] = tint_objects(small_image, np.stack(small_layers))
    # 3. Title in dark gray, description in a lighter one.
    for line_index, line_text in enumerate(
        (_shorten_title(title), _describe_example(example))
    ):
        baseline_xy = (2, _IMAGE_HEIGHT + _LINE_HEIGHT * (line_index + 1) - 5)
        text_color = (_TEXT_GRAY + 60 * line_index,) * 3
        cv2.putText(
            cell_image,
            line_text,
            baseline_xy,
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            text_color,
            1,
            cv2.LINE_AA,
        )
    return cell_image


def _describe_example(example: Example) -> str:
    """Return size, number of objects and, if several, number of layers as text."""
    height, width = example.image.shape[:2]
    num_layers = len(example.layers)
    num_objects = len(list_objects(example.layers))
    description = f"{height}x{width}, {num_objects} object{'s' * (num_objects != 1)}"
    return description + f" in {num_layers} layers" * (num_layers > 1)


def _shorten_title(title: str) -> str:
    ascii_title = title.encode("ascii", "replace").decode()  # OpenCV draws only ASCII
    half_length = (_MAX_TITLE_LETTERS - 3) // 2
    if len(ascii_title) <= _MAX_TITLE_LETTERS:
        return ascii_title
    return f"{ascii_title[:half_length]}...{ascii_title[-half_length:]}"


def _distinct_colors(num_labels: int, *, first_hue: float) -> Float[np.ndarray, "n 3"]:
    """Return bright colors [num_labels + 1, 3] by label, 0 to 255."""
    label_hues = (first_hue + _HUE_STEP * np.arange(num_labels + 1)) % 1.0
    return (
        np.array([colorsys.hsv_to_rgb(label_hue, 1.0, 1.0) for label_hue in label_hues])
        * 255.0
    )


def _label_borders(labels: UInt16[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return True where the pixel below or to the right has another label."""
    is_border = np.zeros(labels.shape, bool)
    is_border[:-1] |= labels[:-1] != labels[1:]
    is_border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return is_border
