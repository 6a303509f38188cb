"""Hold an image and its labeled objects as NumPy arrays, and make targets of them.

An image carries one or more layers; a layer is a label map, in which objects do not
overlap. Two annotators, or an object and its parts, are two layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, UInt8, UInt16

# Label of pixels that do not count.
IGNORE_LABEL = 65535


@dataclass(frozen=True)
class Example:
    """An image and the objects in it.

    Attributes:
        id: Name of the image, unique within its dataset.
        image: [h w 3] uint8 RGB.
        layers: [l h w] uint16 label maps: 0 background, 1 and up objects, 65535 ignored.
        parts: [p 4] which object is a part of which: layer and label of the part, then
            layer and label of its parent. Most datasets have none.
        stuff: [s h w] uint16 label maps of areas that are not objects (sky, grass); most
            datasets have none.
    """

    id: str
    image: UInt8[np.ndarray, "h w 3"]
    layers: UInt16[np.ndarray, "l h w"]
    parts: Int32[np.ndarray, "p 4"] = field(
        default_factory=lambda: np.zeros((0, 4), np.int32)
    )
    stuff: UInt16[np.ndarray, "s _ _"] = field(
        default_factory=lambda: np.zeros((0, 0, 0), np.uint16)
    )


class ObjectId(NamedTuple):
    """Identify an object of an example.

    Attributes:
        layer: Index of the layer, from 0.
        label: Label of the object in that layer, from 1.
    """

    layer: int
    label: int


class LabeledObject(NamedTuple):
    """An object of an example and its area.

    Attributes:
        layer: Index of the layer, from 0.
        label: Label of the object in that layer, from 1.
        area: Area of the object in pixels.
    """

    layer: int
    label: int
    area: int

    @property
    def object_id(self) -> ObjectId:
        """Layer and label of the object."""
        return ObjectId(self.layer, self.label)


class TargetSample(NamedTuple):
    """An image and one target object, on which training and evaluation work.

    Attributes:
        image: [h w 3] uint8 RGB.
        target: [h w] True on the target object.
        valid: [h w] False on pixels that do not count; the target lies on valid pixels.
        others: [h w] True on objects that are not the target.
    """

    image: UInt8[np.ndarray, "h w 3"]
    target: Bool[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]
    others: Bool[np.ndarray, "h w"]


def list_objects(layers: UInt16[np.ndarray, "l h w"]) -> list[LabeledObject]:
    """List the objects of all layers, by layer, then by label.

    Args:
        layers: [l h w] label maps, see `Example`.
    """
    objects = []
    for layer, labels in enumerate(layers):
        label_areas = np.bincount(labels.ravel(), minlength=1)
        # Background and ignored pixels are not objects.
        label_areas[0] = 0
        label_areas[IGNORE_LABEL:] = 0
        objects += [
            LabeledObject(layer, int(label), int(label_areas[label]))
            for label in np.flatnonzero(label_areas)
        ]
    return objects


def make_target_sample(
    image: UInt8[np.ndarray, "h w 3"],
    layers: UInt16[np.ndarray, "l h w"],
    target_ids: Sequence[ObjectId],
    *,
    excluded_ids: Sequence[ObjectId] = (),
    visible_layers: Sequence[int],
) -> TargetSample:
    """Make one target of one or more objects.

    Args:
        image: [h w 3] uint8 RGB.
        layers: [l h w] label maps, see `Example`.
        target_ids: One or more objects whose union is the target.
        excluded_ids: Objects that are cut out of the target.
        visible_layers: Indices of one or more layers. What is ignored in one of them does
            not count (except the target), and their objects besides the target are the
            others.

    Returns:
        The image with the target.
    """
    # 1. The target.
    target = _union_mask(layers, target_ids)
    if excluded_ids:
        target &= ~_union_mask(layers, excluded_ids)
    # 2. A pixel counts where no visible layer ignores it.
    first_layer, *more_layers = visible_layers
    valid = layers[first_layer] != IGNORE_LABEL
    is_labeled = layers[first_layer] > 0
    for layer in more_layers:
        valid &= layers[layer] != IGNORE_LABEL
        is_labeled |= layers[layer] > 0
    # Another layer may ignore pixels of the target.
    valid |= target
    return TargetSample(image, target, valid, is_labeled & valid & ~target)


def _union_mask(
    layers: UInt16[np.ndarray, "l h w"], object_ids: Sequence[ObjectId]
) -> Bool[np.ndarray, "h w"]:
    """Return True on the pixels of any of one or more objects."""
    union_mask = layers[object_ids[0].layer] == object_ids[0].label
    for object_id in object_ids[1:]:
        union_mask |= layers[object_id.layer] == object_id.label
    return union_mask
