"""Which of a picture's objects is wanted: one drawn for training, each for evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from mst_jax.data.example import (
    Example,
    LabelledObject,
    Sample,
    list_objects,
    open_target,
)
from mst_jax.settings import is_number


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
    small_weight: float = 0.0,
    merge_prob: float = 0.15,
) -> Sample:
    """Draws the object that is to be learned from a picture.

    A layer is drawn first, evenly, then an object in it: so the whole and its many parts
    are wanted equally often. Where no object may be drawn, the largest one is taken.
    Merging two objects with probability 0.15 is the published sampler's.

    Args:
        rng: source of chance.
        example: a picture with at least one object.
        smallest: objects below this share of the picture are small.
        small_weight: how often a small object is drawn, 1 as often as the others,
            0 never.
        merge_prob: probability that a second object of the layer joins the target.

    Raises:
        ValueError: the picture has no object.
    """
    objects = list_objects(example.layers)
    if not objects:
        raise ValueError(f"picture {example.id!r} has no object; leave it out")
    least_area = smallest * example.layers[0].size
    weights = {
        item: 1.0 if item.area >= least_area else small_weight for item in objects
    }
    allowed = [item for item in objects if weights[item] > 0.0]
    if not allowed:
        largest = max(objects, key=lambda item: item.area)
        return open_target(example, layer=largest.layer, labels=(largest.label,))
    layer = _draw(rng, sorted({item.layer for item in allowed}))
    candidates = [item for item in allowed if item.layer == layer]
    num_wanted = 1 + int(len(candidates) > 1 and rng.random() < merge_prob)
    chosen = _draw_objects(rng, candidates, weights, num_wanted)
    return open_target(
        example, layer=layer, labels=tuple(item.label for item in chosen)
    )


def check_choosing(
    *, smallest: object, small_weight: object, merge_prob: object
) -> None:
    """Raises ValueError unless `choose_target` understands these settings."""
    for name, value, most in (
        ("smallest", smallest, 1),
        ("small_weight", small_weight, 1000),
        ("merge_prob", merge_prob, 1),
    ):
        if not is_number(value, least=0, most=most):
            raise ValueError(f"{name} is {value}, expected 0 to {most}")


def list_targets(
    example: Example, *, min_area: float = 0.0
) -> Iterator[EvaluationTarget]:
    """Yields every object of a picture that fills at least `min_area` of it (a share)."""
    objects = list_objects(example.layers)
    least_area = min_area * example.layers[0].size
    for layer, label, area in objects:
        if area >= least_area:
            sample = open_target(example, layer=layer, labels=(label,))
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


def _draw(rng: np.random.Generator, items: list[int]) -> int:
    return items[int(rng.integers(len(items)))]


def _draw_objects(
    rng: np.random.Generator,
    candidates: list[LabelledObject],
    weights: dict[LabelledObject, float],
    num_wanted: int,
) -> list[LabelledObject]:
    share = np.array([weights[item] for item in candidates])
    numbers = rng.choice(
        len(candidates), size=num_wanted, replace=False, p=share / share.sum()
    )
    return [candidates[number] for number in numbers]
