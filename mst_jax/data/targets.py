"""Choose target objects of an image: a random one for training, each for evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from mst_jax.config_options import is_number_between
from mst_jax.data.example import (
    Example,
    LabeledObject,
    ObjectId,
    TargetSample,
    list_objects,
    make_target_sample,
)
from mst_jax.data.part_hierarchy import find_roots, group_parts, sample_part


class EvaluationTarget(NamedTuple):
    """One object to be segmented by clicks.

    Attributes:
        id: Image ID, layer and label as "ID/LAYER/LABEL"; the image ID alone where the
            image has one object only.
        image: [h w 3] uint8 RGB; objects of one image share the array.
        target: [h w] True on the object.
        valid: [h w] False on pixels that do not count.
    """

    id: str
    image: UInt8[np.ndarray, "h w 3"]
    target: Bool[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class TargetSampling:
    """Options for sampling the target object of a training image.

    Source: the sampler of RITM, Sofiiuk et al., ICIP 2022, which the later programs took
    over; it trains on COCO+LVIS with
    min_area_fraction 0, min_area_pixels 1000, stuff_prob 0.3, by_layer False; on SBD with
    min_area_fraction 0, min_area_pixels 80 (AdaptiveClick 20).
    Departure: pixels are counted in the image instead of the crop.

    Attributes:
        min_area_fraction: Objects below this fraction of the image area are small and get
            the weight `small_weight`.
        min_area_pixels: Objects of fewer pixels are small as well.
        small_weight: Sampling weight of a small object, relative to 1 for the others; 0 =
            small objects are never sampled.
        merge_prob: Probability that a second object joins the target.
        stuff_prob: Probability that stuff regions (sky, grass) are added to the
            candidates.
        by_layer: Sample a layer uniformly, then objects in it. True where each layer is
            one annotation of the whole image, such as that of one annotator; False where
            layers only separate objects that overlap.
        by_parts: Where the dataset knows which object is a part of which, sample wholes
            and then descend to their parts, see `sample_part`. False samples all objects
            with equal weights.

    Raises:
        ValueError: A value out of range; the message names it.
    """

    min_area_fraction: float = 0.01
    min_area_pixels: int = 0
    small_weight: float = 0.0
    merge_prob: float = 0.15
    stuff_prob: float = 0.0
    by_layer: bool = True
    by_parts: bool = True

    def __post_init__(self) -> None:
        for option_name, max_value in (
            ("min_area_fraction", 1),
            ("min_area_pixels", 2**31),
            ("small_weight", 1000),
            ("merge_prob", 1),
            ("stuff_prob", 1),
        ):
            option_value = getattr(self, option_name)
            if not is_number_between(option_value, 0, max_value):
                raise ValueError(
                    f"{option_name} is {option_value!r}, expected 0 to {max_value}"
                )
        for option_name in ("by_layer", "by_parts"):
            option_value = getattr(self, option_name)
            # Any number would count as True or False below.
            if not isinstance(option_value, bool):
                raise ValueError(
                    f"{option_name} is {option_value!r}, expected True or False"
                )


def sample_target(
    rng: np.random.Generator, example: Example, sampling: TargetSampling
) -> TargetSample:
    """Sample the object of an image that is the target of a training step.

    Where no object may be sampled, the largest one is the target.

    Args:
        rng: Random generator.
        example: Image with at least one object.
        sampling: Options for sampling the target.

    Raises:
        ValueError: The image has no object.
    """
    # 1. Which objects there are, and how often each of them is sampled.
    layers = example.layers
    if len(example.stuff) and rng.random() < sampling.stuff_prob:
        layers = np.concatenate([layers, example.stuff])
    objects = list_objects(layers)
    if not objects:
        raise ValueError(f"image {example.id!r} has no object; leave it out")
    min_area = max(
        sampling.min_area_fraction * layers[0].size,
        float(sampling.min_area_pixels),
        1.0,
    )
    weights = _sampling_weights(objects, min_area, sampling.small_weight)
    # 2. One or two objects that are a part of no other.
    parts_of = group_parts(example.parts, weights) if sampling.by_parts else {}
    root_ids = find_roots(parts_of, weights)
    sampled_roots = _sample_roots(rng, root_ids, weights, sampling)
    # 3. Descend from each root to one of its parts; some subparts are excluded from it.
    target_ids: list[ObjectId] = []
    excluded_ids: list[ObjectId] = []
    for root in sampled_roots:
        target_id, excluded_parts = sample_part(rng, parts_of, root)
        target_ids.append(target_id)
        excluded_ids += excluded_parts
    # 4. With `by_layer` only the layers of the target count.
    if sampling.by_layer:
        visible_layers = sorted(
            {object_id.layer for object_id in target_ids + excluded_ids}
        )
    else:
        visible_layers = list(range(len(layers)))
    target_sample = make_target_sample(
        example.image,
        layers,
        target_ids,
        excluded_ids=excluded_ids,
        visible_layers=visible_layers,
    )
    # 5. Without the exclusions if they leave less than the minimum area.
    if excluded_ids and np.count_nonzero(target_sample.target) < min_area:
        return make_target_sample(
            example.image, layers, target_ids, visible_layers=visible_layers
        )
    return target_sample


def example_targets(
    example: Example, *, min_area_fraction: float = 0.0
) -> Iterator[EvaluationTarget]:
    """Yield every object of an image as an evaluation target.

    Args:
        example: Image with its objects.
        min_area_fraction: Min fraction of the image area, 0 to 1; smaller objects are
            left out.
    """
    objects = list_objects(example.layers)
    min_area = min_area_fraction * example.layers[0].size
    for layer, label, area in objects:
        if area >= min_area:
            target_sample = make_target_sample(
                example.image,
                example.layers,
                [ObjectId(layer, label)],
                visible_layers=[layer],
            )
            # All objects count, so that names do not depend on `min_area_fraction`.
            is_single = len(objects) == 1
            target_name = example.id if is_single else f"{example.id}/{layer}/{label}"
            yield EvaluationTarget(
                target_name,
                target_sample.image,
                target_sample.target,
                target_sample.valid,
            )


def evaluation_targets(
    examples: Iterable[Example], *, min_area_fraction: float = 0.0
) -> Iterator[EvaluationTarget]:
    """Yield every object of every image as an evaluation target.

    Each image is decoded once.

    Args:
        examples: Images with their objects, see `open_dataset`.
        min_area_fraction: Min fraction of the image area, 0 to 1; smaller objects are
            left out.
    """
    for example in examples:
        yield from example_targets(example, min_area_fraction=min_area_fraction)


def _sampling_weights(
    objects: Sequence[LabeledObject], min_area: float, small_weight: float
) -> dict[ObjectId, float]:
    """Return the weight of each object that may be sampled, else the largest alone."""
    weights = {
        labeled_object.object_id: 1.0
        if labeled_object.area >= min_area
        else small_weight
        for labeled_object in objects
    }
    positive_weights = {
        object_id: weight for object_id, weight in weights.items() if weight > 0.0
    }
    largest_object = max(objects, key=lambda labeled_object: labeled_object.area)
    return positive_weights or {largest_object.object_id: 1.0}


def _sample_roots(
    rng: np.random.Generator,
    root_ids: Sequence[ObjectId],
    weights: Mapping[ObjectId, float],
    sampling: TargetSampling,
) -> list[ObjectId]:
    """Sample one object by its weight, with probability `merge_prob` two."""
    if sampling.by_layer:
        layers = sorted({object_id.layer for object_id in root_ids})
        layer = layers[int(rng.integers(len(layers)))]
        root_ids = [object_id for object_id in root_ids if object_id.layer == layer]
    # No random number is drawn where there is nothing to merge.
    is_merged = len(root_ids) > 1 and rng.random() < sampling.merge_prob
    root_weights = np.array([weights[object_id] for object_id in root_ids])
    root_indices = rng.choice(
        len(root_ids),
        size=1 + int(is_merged),
        replace=False,
        p=root_weights / root_weights.sum(),
    )
    return [root_ids[index] for index in root_indices]
