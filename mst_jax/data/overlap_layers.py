"""Objects that overlap: put into layers, and wholes told from parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.example import Place

_PART = 0.8  # share of a part that lies in its whole, as in RITM's COCO+LVIS


class _Boxed(NamedTuple):
    area: int
    box: tuple[slice, slice]


def stack_layers(
    masks: Sequence[Bool[np.ndarray, "h w"]],
) -> tuple[list[UInt16[np.ndarray, "h w"]], list[Place]]:
    """Puts each object into the first layer where it covers no other, largest first.

    Args:
        masks: at least one, each with at least one pixel.

    Returns:
        The label maps, and the place of each mask.
    """
    layers: list[UInt16[np.ndarray, "h w"]] = []
    counts: list[int] = []
    places = [Place(0, 0)] * len(masks)
    boxed = [_enclose(mask) for mask in masks]
    for number in sorted(range(len(masks)), key=lambda k: -boxed[k].area):
        box = boxed[number].box
        inside = masks[number][box]
        free = (k for k, map_ in enumerate(layers) if not map_[box][inside].any())
        layer = next(free, len(layers))
        if layer == len(layers):
            layers.append(np.zeros(masks[number].shape, np.uint16))
            counts.append(0)
        counts[layer] += 1
        layers[layer][box][inside] = counts[layer]
        places[number] = Place(layer, counts[layer])
    return layers, places


def find_wholes(masks: Sequence[Bool[np.ndarray, "h w"]]) -> list[int | None]:
    """For each object the smallest larger one that holds over 80 % of it, if any.

    Of two objects of one area the earlier counts as the larger.
    """
    boxed = [_enclose(mask) for mask in masks]
    order = sorted(range(len(masks)), key=lambda k: (boxed[k].area, -k))
    wholes: list[int | None] = [None] * len(masks)
    for rank, part in enumerate(order):
        area, box = boxed[part]
        inside = masks[part][box]
        for whole in order[rank + 1 :]:
            shared = _shared_room(box, boxed[whole].box)
            if shared <= _PART * area:
                continue
            if np.count_nonzero(masks[whole][box] & inside) > _PART * area:
                wholes[part] = whole
                break
    return wholes


def find_doubles(
    masks: Sequence[Bool[np.ndarray, "h w"]], *, least_iou: float
) -> set[int]:
    """Numbers of the objects that a later one repeats, by their overlap (0 to 1)."""
    boxed = [_enclose(mask) for mask in masks]
    numbers = range(len(masks))
    return {
        one
        for one in numbers
        if any(
            _overlap(masks, boxed, one, later) > least_iou
            for later in numbers[one + 1 :]
        )
    }


def find_known(
    masks: Sequence[Bool[np.ndarray, "h w"]],
    known: Sequence[Bool[np.ndarray, "h w"]],
    *,
    least_iou: float,
) -> set[int]:
    """Numbers of the objects that repeat a known one, by their overlap (0 to 1)."""
    both = [*masks, *known]
    boxed = [_enclose(mask) for mask in both]
    others = range(len(masks), len(both))
    return {
        one
        for one in range(len(masks))
        if any(_overlap(both, boxed, one, other) > least_iou for other in others)
    }


def list_parts(
    wholes: Sequence[int | None], places: Sequence[Place]
) -> list[tuple[int, int, int, int]]:
    """Rows of `Example.parts`: the place of each part, then of its whole."""
    return [
        (*places[part], *places[whole])
        for part, whole in enumerate(wholes)
        if whole is not None
    ]


def _enclose(mask: Bool[np.ndarray, "h w"]) -> _Boxed:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )
    return _Boxed(int(np.count_nonzero(mask)), box)


def _overlap(
    masks: Sequence[Bool[np.ndarray, "h w"]],
    boxed: Sequence[_Boxed],
    one: int,
    other: int,
) -> float:
    """Shared over united area of two masks, 0 to 1."""
    areas = boxed[one].area + boxed[other].area
    box = boxed[one].box
    if not _shared_room(box, boxed[other].box):
        return 0.0
    shared = np.count_nonzero(masks[one][box] & masks[other][box])
    return shared / (areas - shared)


def _shared_room(one: tuple[slice, slice], other: tuple[slice, slice]) -> int:
    """Area that two boxes share, in pixels."""
    lengths = [
        max(0, min(a.stop, b.stop) - max(a.start, b.start))
        for a, b in zip(one, other, strict=True)
    ]
    return lengths[0] * lengths[1]
