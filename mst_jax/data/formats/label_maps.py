"""Read label maps and binary masks, and edit the objects in them.

A label map holds one whole number a pixel: 0 is background, 65535 is ignored, every other
number is an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Integer, UInt16

from mst_jax.data.example import IGNORE_LABEL
from mst_jax.data.formats.image_containers import (
    PNG_PALETTE,
    PNG_SIGNATURE,
    check_complete,
    palette_png_to_gray,
    read_png_header,
)
from mst_jax.data.formats.images import decode_pixels


def read_label_map(path: Path) -> UInt16[np.ndarray, "h w"]:
    """Read a label map from an image file.

    Args:
        path: Gray image of 1 to 16 bits, palette image (the palette indices are the
            labels), or gray image saved as RGB.

    Returns:
        [h w] uint16 labels.

    Raises:
        ValueError: The file is empty, truncated, damaged, no image, or in color.
    """
    return decode_label_map(path.read_bytes())


def decode_label_map(data: bytes) -> UInt16[np.ndarray, "h w"]:
    """Decode a label map from the bytes of its file; see `read_label_map`."""
    pixel_values = _decode_values(data)
    if (pixel_values != pixel_values[..., :1]).any():
        raise ValueError(
            "label map in color; save it as 8-bit or 16-bit gray or with a palette"
        )
    return pixel_values[..., 0].astype(np.uint16)


def read_binary_mask(path: Path, *, threshold: int = 0) -> Bool[np.ndarray, "h w"]:
    """Read the mask of one object: True where any channel is above a threshold.

    Args:
        path: Gray, palette (the palette indices count) or color image; alpha is dropped.
        threshold: Largest value of the background, 0 to 255. Only 0 makes sense for 1, 2
            or 4 bits and for palettes.

    Returns:
        [h w] True on the object.

    Raises:
        ValueError: The file is empty, truncated, damaged or no image.
    """
    return decode_binary_mask(path.read_bytes(), threshold=threshold)


def decode_binary_mask(data: bytes, *, threshold: int = 0) -> Bool[np.ndarray, "h w"]:
    """Decode a binary mask from the bytes of its file; see `read_binary_mask`."""
    return np.asarray((_decode_values(data) > threshold).any(-1))


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


def _decode_values(data: bytes) -> Integer[np.ndarray, "h w c"]:
    """Decode gray or color values without alpha, or the indices of a palette image."""
    check_complete(data)
    max_value = 255
    if data.startswith(PNG_SIGNATURE):
        png_header = read_png_header(data)
        max_value = 2**png_header.bit_depth - 1
        if png_header.color_type == PNG_PALETTE:
            data = palette_png_to_gray(data)
    # A mask is stored as it is drawn; EXIF orientation is for photographs.
    imread_flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixel_values = decode_pixels(data, imread_flags)
    if pixel_values.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"label map of {pixel_values.dtype}; save it as 8-bit or 16-bit gray"
        )
    # OpenCV spreads 1, 2 and 4 bits over 0..255.
    if max_value < 255:
        pixel_values = pixel_values // (255 // max_value)
    return pixel_values[..., :3] if pixel_values.ndim == 3 else pixel_values[..., None]
