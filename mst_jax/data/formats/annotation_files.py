"""Mask files of images: names of layers, and the COCO files of the annotation server."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.example import IGNORE_LABEL
from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.coco import read_coco_images
from mst_jax.data.formats.coco_segmentation import decode_segmentation
from mst_jax.data.formats.label_maps import decode_label_map

_LAYER_NAME = re.compile(r"(?P<name>.+)_(?P<index>\d+)")  # photo_0, photo_1


def match_mask_name(
    mask_name: str, image_names: Container[str]
) -> tuple[str, int] | None:
    """Return the image that a mask file belongs to, and the number of its layer.

    An image may be named photo_1 itself, so the whole name is tried first.

    Args:
        mask_name: Path of the mask without suffix, such as `sub/photo_1`.
        image_names: Names of all images, such as `sub/photo`.

    Returns:
        Name of the image, and the number of the layer, -1 for a file without a number;
        None for a mask without an image.
    """
    if mask_name in image_names:
        return mask_name, -1
    layer_match = _LAYER_NAME.fullmatch(mask_name)
    if layer_match and layer_match["name"] in image_names:
        return layer_match["name"], int(layer_match["index"])
    return None


def read_annotated_layers(path: Path) -> list[UInt16[np.ndarray, "h w"]]:
    """Read the objects of an image; objects that overlap are in different layers.

    Args:
        path: COCO file of one image. A PNG of the same name beside it holds the same
            objects in one label map, where they cover each other.

    Returns:
        [h w] label maps; the labels are the IDs of the objects. Empty without objects.

    Raises:
        ValueError: The file is damaged or not of this form, or the PNG beside it has
            other objects.
    """
    errors = ErrorCollector()
    coco_images = read_coco_images(path, errors)
    if errors.messages:
        raise ValueError(errors.messages[0])
    if len(coco_images) != 1:
        raise ValueError(
            f"lists {len(coco_images)} images, expected the one image {path.stem}; "
            "a COCO file of many images is read by prepare coco_json"
        )
    image = coco_images[0]
    if image.height is None or image.width is None:
        raise ValueError("does not state the height and width of the image")
    masks: dict[int, Bool[np.ndarray, "h w"]] = {}
    for annotation in image.annotations:
        label = annotation.get("id")
        if not isinstance(label, int) or not 0 < label < IGNORE_LABEL or label in masks:
            raise ValueError(
                f"has an object with the id {label!r}, expected different whole "
                f"numbers from 1 to {IGNORE_LABEL - 1}"
            )
        segmentation = annotation.get("segmentation")
        masks[label] = decode_segmentation(segmentation, image.height, image.width)
    png_path = path.with_suffix(".png")
    if png_path.exists():
        # The server does not smooth; its small objects may touch.
        labels = decode_label_map(png_path.read_bytes(), may_be_smoothed=False)
        _check_label_map(labels, masks, png_path.name)
    return _to_layers(masks)


def _to_layers(
    masks: dict[int, Bool[np.ndarray, "h w"]],
) -> list[UInt16[np.ndarray, "h w"]]:
    """Draw each object into the first layer where it covers no other."""
    layers: list[UInt16[np.ndarray, "h w"]] = []
    for label, mask in masks.items():
        if not mask.any():
            continue
        free_layers = (labels for labels in layers if not labels[mask].any())
        layer = next(free_layers, None)
        if layer is None:
            layer = np.zeros(mask.shape, np.uint16)
            layers.append(layer)
        layer[mask] = label
    return layers


def _check_label_map(
    labels: UInt16[np.ndarray, "_ _"],
    masks: dict[int, Bool[np.ndarray, "h w"]],
    png_name: str,
) -> None:
    """Raise a ValueError unless each pixel shows one of the objects that are there."""
    is_same = all(mask.shape == labels.shape for mask in masks.values())
    if is_same:
        # A pixel of an object has the label of one of the objects that cover it.
        covered = np.zeros(labels.shape, bool)
        has_own_label = np.zeros(labels.shape, bool)
        for label, mask in masks.items():
            covered |= mask
            has_own_label |= mask & (labels == label)
        is_same = np.array_equal(covered, has_own_label) and not labels[~covered].any()
    if not is_same:
        raise ValueError(
            f"has other objects than {png_name} beside it, although the server writes "
            "the same objects to both; delete the outdated file"
        )
