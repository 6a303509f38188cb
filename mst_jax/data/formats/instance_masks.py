"""Convert overlapping instance masks to label-map layers, part relations, duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.example import ObjectId

# Fraction of a part that lies in its parent, as in RITM's COCO+LVIS.
_MIN_PART_FRACTION = 0.8


class _MaskBox(NamedTuple):
    """Area of a mask in pixels and its bounding box (rows, columns)."""

    area: int
    bounding_box: tuple[slice, slice]


def stack_layers(
    masks: Sequence[Bool[np.ndarray, "h w"]],
) -> tuple[list[UInt16[np.ndarray, "h w"]], list[ObjectId]]:
    """Put each object into the first layer where it covers no other, largest first.

    Args:
        masks: One or more [h w] masks, each with at least one pixel.

    Returns:
        The label maps of the layers, and layer and label of each mask.
    """
    layers: list[UInt16[np.ndarray, "h w"]] = []
    num_labels: list[int] = []
    object_ids = [ObjectId(0, 0)] * len(masks)
    mask_boxes = [_measure_mask(mask) for mask in masks]
    for mask_index in sorted(range(len(masks)), key=lambda k: -mask_boxes[k].area):
        # Only the bounding box is compared: most objects are small.
        bounding_box = mask_boxes[mask_index].bounding_box
        cropped_mask = masks[mask_index][bounding_box]
        free_layers = (
            k
            for k, labels in enumerate(layers)
            if not labels[bounding_box][cropped_mask].any()
        )
        layer = next(free_layers, len(layers))
        # No layer is free: a new one.
        if layer == len(layers):
            layers.append(np.zeros(masks[mask_index].shape, np.uint16))
            num_labels.append(0)
        num_labels[layer] += 1
        layers[layer][bounding_box][cropped_mask] = num_labels[layer]
        object_ids[mask_index] = ObjectId(layer, num_labels[layer])
    return layers, object_ids


def find_parents(masks: Sequence[Bool[np.ndarray, "h w"]]) -> list[int | None]:
    """Find for each object the smallest larger one that holds over 80 % of it.

    Of two objects of equal area the earlier counts as the larger.

    Args:
        masks: [h w] masks, each with at least one pixel.

    Returns:
        Index of the parent of each object, None without one.
    """
    mask_boxes = [_measure_mask(mask) for mask in masks]
    by_area = sorted(range(len(masks)), key=lambda k: (mask_boxes[k].area, -k))
    parents: list[int | None] = [None] * len(masks)
    for area_rank, part in enumerate(by_area):
        area, bounding_box = mask_boxes[part]
        cropped_mask = masks[part][bounding_box]
        # From small to large: the first that holds the part is the smallest.
        for parent in by_area[area_rank + 1 :]:
            # The boxes bound the overlap and are compared much faster.
            max_overlap = _box_overlap(bounding_box, mask_boxes[parent].bounding_box)
            if max_overlap <= _MIN_PART_FRACTION * area:
                continue
            overlap_area = np.count_nonzero(masks[parent][bounding_box] & cropped_mask)
            if overlap_area > _MIN_PART_FRACTION * area:
                parents[part] = parent
                break
    return parents


def find_duplicates(
    masks: Sequence[Bool[np.ndarray, "h w"]], *, min_iou: float
) -> set[int]:
    """Return the indices of the objects that a later object repeats.

    Args:
        masks: [h w] masks, each with at least one pixel.
        min_iou: Intersection over union above which two objects are the same, 0 to 1.
    """
    mask_boxes = [_measure_mask(mask) for mask in masks]
    mask_indices = range(len(masks))
    return {
        mask_index
        for mask_index in mask_indices
        if any(
            _mask_iou(masks, mask_boxes, mask_index, later_index) > min_iou
            for later_index in mask_indices[mask_index + 1 :]
        )
    }


def find_known_objects(
    masks: Sequence[Bool[np.ndarray, "h w"]],
    known_masks: Sequence[Bool[np.ndarray, "h w"]],
    *,
    min_iou: float,
) -> set[int]:
    """Return the indices of the objects that repeat a known one.

    Args:
        masks: [h w] masks, each with at least one pixel.
        known_masks: [h w] masks of the known objects.
        min_iou: Intersection over union above which two objects are the same, 0 to 1.
    """
    # One list, so that one IoU function serves both.
    all_masks = [*masks, *known_masks]
    mask_boxes = [_measure_mask(mask) for mask in all_masks]
    known_indices = range(len(masks), len(all_masks))
    return {
        mask_index
        for mask_index in range(len(masks))
        if any(
            _mask_iou(all_masks, mask_boxes, mask_index, known_index) > min_iou
            for known_index in known_indices
        )
    }


def list_part_rows(
    parents: Sequence[int | None], object_ids: Sequence[ObjectId]
) -> list[tuple[int, int, int, int]]:
    """List the rows of `Example.parts`: layer and label of a part, then of its parent.

    Args:
        parents: Index of the parent of each object, None without one.
        object_ids: Layer and label of each object.
    """
    return [
        join_object_ids(object_ids[part], object_ids[parent])
        for part, parent in enumerate(parents)
        if parent is not None
    ]


def join_object_ids(part: ObjectId, parent: ObjectId) -> tuple[int, int, int, int]:
    """Make a row of `Example.parts`: layer and label of a part, then of its parent."""
    return part.layer, part.label, parent.layer, parent.label


def _measure_mask(mask: Bool[np.ndarray, "h w"]) -> _MaskBox:
    """Measure area and bounding box of a mask with at least one pixel."""
    mask_rows, mask_columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    bounding_box = (
        slice(int(mask_rows[0]), int(mask_rows[-1]) + 1),
        slice(int(mask_columns[0]), int(mask_columns[-1]) + 1),
    )
    return _MaskBox(int(np.count_nonzero(mask)), bounding_box)


def _mask_iou(
    masks: Sequence[Bool[np.ndarray, "h w"]],
    mask_boxes: Sequence[_MaskBox],
    first: int,
    second: int,
) -> float:
    """Return the intersection over union of the masks at two indices, 0 to 1."""
    total_area = mask_boxes[first].area + mask_boxes[second].area
    bounding_box = mask_boxes[first].bounding_box
    # Most pairs of objects lie apart; their masks need not be compared.
    if not _box_overlap(bounding_box, mask_boxes[second].bounding_box):
        return 0.0
    intersection_area = np.count_nonzero(
        masks[first][bounding_box] & masks[second][bounding_box]
    )
    # The union is the sum without what is counted twice.
    return intersection_area / (total_area - intersection_area)


def _box_overlap(
    first_box: tuple[slice, slice], second_box: tuple[slice, slice]
) -> int:
    """Return the area that two boxes share, in pixels."""
    overlap_lengths = [
        max(0, min(first.stop, second.stop) - max(first.start, second.start))
        for first, second in zip(first_box, second_box, strict=True)
    ]
    return overlap_lengths[0] * overlap_lengths[1]
