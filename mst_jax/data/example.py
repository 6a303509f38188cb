"""What a picture with labelled objects is, once its file is open: numpy arrays.

A picture carries one or more layers; a layer is a label map, in which objects do not
overlap. Two annotators, or a whole and its parts, are two layers.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Place(NamedTuple):
    """Where an object stands in an example."""

    layer: int
    label: int


class LabelledObject(NamedTuple):
    """An object: its layer, its label, its area in pixels."""

    layer: int
    label: int
    area: int

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.layer, self.label)


class Sample(NamedTuple):
    """A picture and one wanted object in it: what training and evaluation work on.

    Attributes:
        image: [h w 3] uint8 RGB.
        target: [h w] True on the wanted object.
        valid: [h w] False on pixels that do not count; the target lies on valid pixels.
        others: [h w] True on objects that are not the wanted one.
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


def open_target(
    image: UInt8[np.ndarray, "h w 3"],
    layers: UInt16[np.ndarray, "l h w"],
    chosen: Sequence[Place],
    *,
    left_out: Sequence[Place] = (),
    seen: Sequence[int],
) -> Sample:
    """Makes one target of the chosen objects.

    Args:
        image: [h w 3] the picture.
        layers: [l h w] label maps, see `Example`.
        chosen: one or more objects.
        left_out: objects that are cut out of the target.
        seen: one or more layers; what is ignored in one of them does not count (except
            the target), and their objects besides the target are the others.

    Returns:
        The picture with the target.
    """
    target = _any_of(layers, chosen)
    if left_out:
        target &= ~_any_of(layers, left_out)
    first, *more = seen
    valid, filled = layers[first] != IGNORED, layers[first] > 0
    for layer in more:
        valid &= layers[layer] != IGNORED
        filled |= layers[layer] > 0
    valid |= target
    return Sample(image, target, valid, filled & valid & ~target)


def _any_of(
    layers: UInt16[np.ndarray, "l h w"], places: Sequence[Place]
) -> Bool[np.ndarray, "h w"]:
    """True on pixels of any of these objects."""
    covered = layers[places[0].layer] == places[0].label
    for place in places[1:]:
        covered |= layers[place.layer] == place.label
    return covered
