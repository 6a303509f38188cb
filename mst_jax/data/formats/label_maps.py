"""Read label maps and binary masks, and edit the objects in them.

A label map holds one whole number a pixel: 0 is background, 65535 is ignored, every other
number is an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.decoding.mask_values import MaskValues, read_mask_values
from mst_jax.data.decoding.smoothed_masks import SmoothedMaskError, is_smoothed
from mst_jax.data.example import IGNORE_LABEL


def read_label_map(
    path: Path, *, page: int | None = None, binarize: bool = False
) -> UInt16[np.ndarray, "h w"]:
    """Read a label map from an image file.

    Args:
        path: Gray image of whole numbers, palette image (the palette indices are the
            labels), or gray image saved as RGB.
        page: Page to read, from 1; None accepts only files with a single one.
        binarize: True reads a smoothed map as one object, see `decode_label_map`.

    Returns:
        [h w] uint16 labels.

    Raises:
        ValueError: The file is empty, truncated, damaged, no image, or in color.
        SmoothedMaskError: The label map looks smoothed.
    """
    return decode_label_map(path.read_bytes(), page=page, binarize=binarize)


def decode_label_map(
    data: bytes,
    *,
    page: int | None = None,
    binarize: bool = False,
    may_be_smoothed: bool = True,
) -> UInt16[np.ndarray, "h w"]:
    """Decode a label map from the bytes of its file; see `read_label_map`.

    Args:
        data: Bytes of the file.
        page: Page to read, from 1; None accepts only files with a single one.
        binarize: True reads a map with soft edges (anti-aliased, resized with
            interpolation, JPEG) as one object: the values above half of white.
            Transparent pixels are background. Sharp maps are not changed.
        may_be_smoothed: False for files that a program packed, which are not checked.

    Raises:
        ValueError: As in `read_label_map`.
        SmoothedMaskError: The label map looks smoothed, and `binarize` is False.
    """
    stored = read_mask_values(data, page=page)
    if (stored.values != stored.values[..., :1]).any():
        raise ValueError(
            "label map in color; save it as 8-bit or 16-bit gray or with a palette"
        )
    gray_values = stored.values[..., 0]
    if may_be_smoothed and _is_soft(stored):
        if not binarize:
            raise SmoothedMaskError(gray_values)
        return (gray_values > stored.white_value / 2).astype(np.uint16)
    if gray_values.dtype in (np.uint8, np.uint16):
        return gray_values.astype(np.uint16)
    return to_label_map(gray_values)


def read_binary_mask(
    path: Path, *, threshold: int = 0, page: int | None = None
) -> Bool[np.ndarray, "h w"]:
    """Read the mask of one object: True where any channel is above a threshold.

    Args:
        path: Gray, palette or color image; transparent pixels are background.
        threshold: Largest value of the background, 0 to 255, in 8 bits. With 0 the
            indices of a palette count, else its colors.
        page: Page to read, from 1; None accepts only files with a single one.

    Returns:
        [h w] True on the object.

    Raises:
        ValueError: The file is empty, truncated, damaged or no image.
    """
    return decode_binary_mask(path.read_bytes(), threshold=threshold, page=page)


def decode_binary_mask(
    data: bytes, *, threshold: int = 0, page: int | None = None
) -> Bool[np.ndarray, "h w"]:
    """Decode a binary mask from the bytes of its file; see `read_binary_mask`."""
    stored = read_mask_values(data, page=page, palette_as_colors=threshold > 0)
    return np.asarray((stored.values > threshold * stored.white_value / 255).any(-1))


def decode_object_mask(
    data: bytes, *, page: int | None = None, binarize: bool = False
) -> Bool[np.ndarray, "h w"]:
    """Decode a binary mask with sharp edges: True where any channel is above 0.

    Args:
        data: Bytes of the file.
        page: Page to read, from 1; None accepts only files with a single one.
        binarize: True reads a mask with soft edges: True above half of white.

    Raises:
        ValueError: As in `read_binary_mask`.
        SmoothedMaskError: The mask looks smoothed, and `binarize` is False.
    """
    stored = read_mask_values(data, page=page)
    threshold = 0.0
    if _is_soft(stored):
        if not binarize:
            raise SmoothedMaskError(stored.values)
        threshold = stored.white_value / 2
    return np.asarray((stored.values > threshold).any(-1))


def to_label_map(pixel_values: np.ndarray) -> UInt16[np.ndarray, "h w"]:
    """Convert an array of whole numbers to a label map.

    Args:
        pixel_values: [h w] whole numbers of any boolean, integer or float dtype.

    Returns:
        [h w] uint16 labels.

    Raises:
        ValueError: Not two axes, fractions, or numbers outside 0 to 65534.
    """
    labels = np.asarray(pixel_values)
    if labels.ndim != 2 or not labels.size or labels.dtype.kind not in "buif":
        raise ValueError(
            f"label map of shape {labels.shape} of {labels.dtype}, expected rows and "
            "columns of whole numbers"
        )
    if labels.dtype.kind == "f" and not (labels == np.round(labels)).all():
        raise ValueError("label map with fractions, expected whole numbers")
    if labels.min() < 0 or labels.max() >= IGNORE_LABEL:
        raise ValueError(
            f"labels {labels.min()} to {labels.max()}, expected 0 to {IGNORE_LABEL - 1}"
        )
    return labels.astype(np.uint16)


def split_components(
    mask: Bool[np.ndarray, "h w"], *, diagonal: bool
) -> UInt16[np.ndarray, "h w"]:
    """Label the connected components of a mask 1, 2, ... in row order.

    Args:
        mask: [h w] True on the components.
        diagonal: True connects pixels that touch at a corner (8-connectivity).

    Returns:
        [h w] uint16 label map, 0 outside the mask.

    Raises:
        ValueError: There are more components than labels.
    """
    num_labels, component_map = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=8 if diagonal else 4
    )
    # OpenCV counts the background as a label.
    if num_labels > IGNORE_LABEL:
        raise ValueError(
            f"has {num_labels - 1} components, at most {IGNORE_LABEL - 1} can be labeled"
        )
    return component_map.astype(np.uint16)


def drop_labels(
    labels: UInt16[np.ndarray, "h w"], dropped_labels: Sequence[int]
) -> UInt16[np.ndarray, "h w"]:
    """Turn some labels of a label map into background.

    Args:
        labels: [h w] label map.
        dropped_labels: Labels that become 0.
    """
    return np.where(np.isin(labels, dropped_labels), np.uint16(0), labels)


def find_small_objects(
    labels: UInt16[np.ndarray, "h w"], *, min_area: int
) -> list[int]:
    """Return the labels of the objects with fewer than `min_area` pixels."""
    label_areas = np.bincount(labels.ravel(), minlength=1)
    # Background and ignored pixels are not objects.
    label_areas[0], label_areas[IGNORE_LABEL:] = 0, 0
    return np.flatnonzero((label_areas > 0) & (label_areas < min_area)).tolist()


def find_sparse_objects(
    labels: UInt16[np.ndarray, "h w"], *, min_fill: float
) -> list[int]:
    """Return the labels of the objects that fill too little of their bounding box.

    Such objects are annotation errors: a few stray pixels far apart. The programs of RITM
    and SimpleClick leave out what fills under 0.08.

    Args:
        labels: [h w] label map.
        min_fill: Min fraction of the bounding box that an object fills, 0 to 1.
    """
    sparse_labels = []
    # One object at a time: few images have many, and this runs once at preparation.
    for label in np.unique(labels):
        if 0 < label < IGNORE_LABEL:
            object_rows, object_columns = np.nonzero(labels == label)
            box_area = (np.ptp(object_rows) + 1) * (np.ptp(object_columns) + 1)
            if len(object_rows) < min_fill * box_area:
                sparse_labels.append(int(label))
    return sparse_labels


def _is_soft(stored: MaskValues) -> bool:
    """Return True if the values look like those of a smoothed mask."""
    # Palette indices cannot be interpolated: programs that smooth produce colors.
    if stored.is_palette:
        return False
    values = stored.values.max(-1)
    if values.dtype.kind == "f":
        return bool((values != np.round(values)).any())
    # Numbers that are not labels have a separate error.
    has_labels = bool(values.min() >= 0 and values.max() <= IGNORE_LABEL)
    return has_labels and is_smoothed(values)
