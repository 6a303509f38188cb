"""Which of a picture's objects is wanted: one drawn for training, each for evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from mst_jax.config_options import is_number
from mst_jax.data.example import (
    Example,
    LabelledObject,
    Place,
    Sample,
    list_objects,
    open_target,
)
from mst_jax.data.part_hierarchy import draw_part, find_parts, find_roots


class EvaluationTarget(NamedTuple):
    """One object to be segmented by clicks.

    Attributes:
        id: STEM/LAYER/LABEL, or STEM where the picture has one object only.
        image: [h w 3] uint8 RGB; objects of one picture share the array.
        target: [h w] True on the object.
        valid: [h w] False on pixels that do not count.
    """

    id: str
    image: UInt8[np.ndarray, "h w 3"]
    target: Bool[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]


def choose_target(
    rng: np.random.Generator,
    example: Example,
    *,
    smallest: float = 0.01,
    smallest_pixels: int = 0,
    small_weight: float = 0.0,
    merge_prob: float = 0.15,
    stuff_prob: float = 0.0,
    by_layer: bool = True,
    by_parts: bool = True,
) -> Sample:
    """Draws the object that is to be learned from a picture.

    Where no object may be drawn, the largest one is taken.
    Source: the click literature's published sampler; it trains on COCO+LVIS with
    smallest 0, smallest_pixels 1000, stuff_prob 0.3, by_layer False; on SBD with
    smallest 0, smallest_pixels 80 (AdaptiveClick 20).
    Departure: pixels are counted in the picture in place of the crop.

    Args:
        rng: source of chance.
        example: a picture with at least one object.
        smallest: objects below this share of the picture are small.
        smallest_pixels: objects of fewer pixels are small, too.
        small_weight: how often a small object is drawn, 1 as often as the others,
            0 never.
        merge_prob: probability that a second object joins the target.
        stuff_prob: probability that regions which are no objects may be drawn.
        by_layer: True where a layer is one way to see the picture (one annotator's; the
            parts beside the wholes): first a layer is drawn, evenly, then objects in it.
            False where layers only keep apart what overlaps.
        by_parts: where the set knows what is a part of what, wholes are drawn and the
            way leads down from them, see `draw_part`. False draws all objects alike.

    Raises:
        ValueError: the picture has no object.
    """
    layers = example.layers
    if len(example.stuff) and rng.random() < stuff_prob:
        layers = np.concatenate([layers, example.stuff])
    objects = list_objects(layers)
    if not objects:
        raise ValueError(f"picture {example.id!r} has no object; leave it out")
    least_area = max(smallest * layers[0].size, float(smallest_pixels), 1.0)
    weights = _weigh(objects, least_area, small_weight)
    parts_of = find_parts(example.parts, weights) if by_parts else {}
    drawn = _draw_places(
        rng, find_roots(parts_of, weights), weights, merge_prob, by_layer=by_layer
    )
    chosen, left_out = [], []
    for whole in drawn:
        place, parts = draw_part(rng, parts_of, whole)
        chosen.append(place)
        left_out += parts
    seen = (
        {place.layer for place in chosen + left_out} if by_layer else range(len(layers))
    )
    sample = open_target(
        example.image, layers, chosen, left_out=left_out, seen=sorted(seen)
    )
    if left_out and np.count_nonzero(sample.target) < least_area:
        return open_target(example.image, layers, chosen, seen=sorted(seen))
    return sample


def check_choosing(
    *,
    smallest: object,
    smallest_pixels: object,
    small_weight: object,
    merge_prob: object,
    stuff_prob: object,
    by_layer: object,
    by_parts: object,
) -> None:
    """Raises ValueError unless `choose_target` understands these settings."""
    for name, value, most in (
        ("smallest", smallest, 1),
        ("smallest_pixels", smallest_pixels, 2**31),
        ("small_weight", small_weight, 1000),
        ("merge_prob", merge_prob, 1),
        ("stuff_prob", stuff_prob, 1),
    ):
        if not is_number(value, least=0, most=most):
            raise ValueError(f"{name} is {value}, expected 0 to {most}")
    for name, value in (("by_layer", by_layer), ("by_parts", by_parts)):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, expected True or False")


def list_targets(
    example: Example, *, min_area: float = 0.0
) -> Iterator[EvaluationTarget]:
    """Yields every object of a picture that fills at least `min_area` of it (a share)."""
    objects = list_objects(example.layers)
    least_area = min_area * example.layers[0].size
    for layer, label, area in objects:
        if area >= least_area:
            place = Place(layer, label)
            sample = open_target(example.image, example.layers, [place], seen=[layer])
            name = f"{example.id}/{layer}/{label}" if len(objects) > 1 else example.id
            yield EvaluationTarget(name, sample.image, sample.target, sample.valid)


def evaluation_targets(
    source: Iterable[Example], *, min_area: float = 0.0
) -> Iterator[EvaluationTarget]:
    """Yields every object of every picture; each picture is decoded once.

    Args:
        source: the pictures, see `open_source`.
        min_area: least share of the picture, 0 to 1; smaller objects are left out.
    """
    for example in source:
        yield from list_targets(example, min_area=min_area)


def _weigh(
    objects: list[LabelledObject], least_area: float, small_weight: float
) -> dict[Place, float]:
    """How often each object is drawn: those that may be, else the largest alone."""
    weights = {
        item.place: 1.0 if item.area >= least_area else small_weight for item in objects
    }
    allowed = {place: weight for place, weight in weights.items() if weight > 0.0}
    return allowed or {max(objects, key=lambda item: item.area).place: 1.0}


def _draw_places(
    rng: np.random.Generator,
    places: list[Place],
    weights: Mapping[Place, float],
    merge_prob: float,
    *,
    by_layer: bool,
) -> list[Place]:
    """Draws one place, with probability `merge_prob` two."""
    if by_layer:
        layers = sorted({place.layer for place in places})
        layer = layers[int(rng.integers(len(layers)))]
        places = [place for place in places if place.layer == layer]
    number = 1 + int(len(places) > 1 and rng.random() < merge_prob)
    share = np.array([weights[place] for place in places])
    drawn = rng.choice(len(places), size=number, replace=False, p=share / share.sum())
    return [places[index] for index in drawn]
