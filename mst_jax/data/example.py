"""What a picture with labelled objects is, once its file is open: numpy arrays.

A picture carries one or more layers; a layer is a label map, in which objects do not
overlap. Two annotators, or a whole and its parts, are two layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, UInt8, UInt16

IGNORED = 65535  # label of pixels that do not count


@dataclass(frozen=True)
class Example:
    """A picture and the objects in it.

    Attributes:
        id: name of the picture within its data set.
        image: [h w 3] uint8 RGB.
        layers: [l h w] uint16 label maps: 0 background, 1 and up objects, 65535 ignored.
        parts: [p 4] which object is a part of which: its layer, its label, then layer
            and label of the whole. Most sets know of none.
        stuff: [s h w] uint16 label maps of regions that are no objects (sky, grass);
            most sets have none.
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


class LabelledObject(NamedTuple):
    """Where an object stands in an example: its layer, its label, its area in pixels."""

    layer: int
    label: int
    area: int


class Sample(NamedTuple):
    """A picture and one wanted object in it: what training and evaluation work on.

    Attributes:
        image: [h w 3] uint8 RGB.
        target: [h w] True on the wanted object.
        valid: [h w] False on pixels that do not count; the target lies on valid pixels.
        others: [h w] True on the layer's objects that are not the wanted one.
    """

    image: UInt8[np.ndarray, "h w 3"]
    target: Bool[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]
    others: Bool[np.ndarray, "h w"]


def list_objects(layers: UInt16[np.ndarray, "l h w"]) -> list[LabelledObject]:
    """Lists the objects of all layers, by layer, then by label."""
    found = []
    for layer, labels in enumerate(layers):
        areas = np.bincount(labels.ravel(), minlength=1)
        areas[0] = 0
        areas[IGNORED:] = 0
        found += [
            LabelledObject(layer, int(label), int(areas[label]))
            for label in np.flatnonzero(areas)
        ]
    return found


def open_target(example: Example, *, layer: int, labels: tuple[int, ...]) -> Sample:
    """Makes one target of the objects that carry one of `labels` in `layer`.

    Args:
        example: the picture with its layers.
        layer: number of the layer, from 0.
        labels: one or more labels of that layer, none of them 0 or 65535.

    Returns:
        The picture with the target; the layer's remaining objects are the others.
    """
    values = example.layers[layer]
    target = values == labels[0]
    for label in labels[1:]:
        target |= values == label
    valid = values != IGNORED
    others = (values > 0) & valid & ~target
    return Sample(example.image, target, valid, others)
