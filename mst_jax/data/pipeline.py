"""Turn images into an endless stream of training batches whose position can be saved.

All randomness follows from the seed and from the index of the example in one stream that
all hosts and workers share, so that what is learned does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from mst_jax.config_options import is_number_between, options_from_config
from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.data.dataset import PreparedDataset
from mst_jax.data.example import Example
from mst_jax.data.importance_sampling import (
    WeightedIndexSampler,
    read_score_file,
    sampling_probabilities,
)
from mst_jax.data.targets import TargetSampling, sample_target
from mst_jax.data.transforms.augment import AugmentationOptions, augment_sample
from mst_jax.extras import needs_extra

with needs_extra("train"):
    import grain


@dataclass(frozen=True)
class PipelineOptions:
    """Options of the training pipeline: the config's block `data` without the dataset.

    Attributes:
        num_workers: Number of processes that decode and augment; 0: threads of this
            process.
        target_sampling: Options for sampling the target object.
        augmentation: Options for augmenting the image.
        difficulty_file: File with a score for each image, see `importance_sampling`;
            images are then sampled by their probabilities, and there are no epochs.
            None: every image once an epoch.
        difficulty_gamma: Preference for difficult images, see `sampling_probabilities`.

    Raises:
        ValueError: A value out of range; the message names it.
    """

    num_workers: int = 0
    target_sampling: TargetSampling = field(default_factory=TargetSampling)
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    difficulty_file: str | None = None
    difficulty_gamma: float = 1.25

    def __post_init__(self) -> None:
        if self.num_workers < 0:
            raise ValueError(f"num_workers is {self.num_workers}, expected 0 or more")
        if not is_number_between(self.difficulty_gamma, 0, 100):
            raise ValueError(
                f"difficulty_gamma is {self.difficulty_gamma!r}, expected 0 to 100"
            )


class DrawTrainingSample(grain.transforms.RandomMap):
    """Turn an example into one training sample: target sampled, image augmented."""

    def __init__(
        self,
        crop_size: int,
        target_sampling: TargetSampling,
        augmentation: AugmentationOptions,
    ) -> None:
        self._crop_size = crop_size
        self._target_sampling, self._augmentation = target_sampling, augmentation

    def random_map(
        self, element: Example, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Draw one target and one crop of it; the keys are fields of `structs.Batch`."""
        target_sample = sample_target(rng, element, self._target_sampling)
        augmented_sample = augment_sample(
            rng, target_sample, self._augmentation, crop_size=self._crop_size
        )
        return augmented_sample._asdict()


def pipeline_options_from_config(values: Mapping[str, Any]) -> PipelineOptions:
    """Build the options of the training pipeline from the config's block `data`.

    Args:
        values: Keys and values of the block, without those that name the dataset.

    Raises:
        ValueError: An unknown key or a value out of range; the message names it.
    """
    # 1. The nested blocks become dataclasses of their own.
    nested_blocks = {
        "target_sampling": TargetSampling,
        "augmentation": AugmentationOptions,
    }
    nested_options = {
        block_key: options_from_config(
            options_class, f"config.data.{block_key}", values[block_key]
        )
        for block_key, options_class in nested_blocks.items()
        if block_key in values
    }
    # 2. They are values of the outer one.
    return options_from_config(
        PipelineOptions, "config.data", {**values, **nested_options}
    )


def training_batches(
    dataset: Sequence[Example],
    options: PipelineOptions,
    *,
    batch_size: int,
    crop_size: int,
    seed: int,
    shard: tuple[int, int] = (0, 1),
) -> BatchIterator:
    """Shuffle, repeat, augment and batch without end.

    The iterator's `get_state()` is a small tree of plain values; `set_state()` on an
    iterator made with the same arguments, but for `num_workers`, resumes with the very
    next batch.

    Args:
        dataset: Images, each with at least one object; see `open_dataset`.
        options: Options of the pipeline.
        batch_size: Number of examples in a batch of this host.
        crop_size: Side of the training images in pixels.
        seed: Random seed, 0 to 2**32 - 1; the same seed gives the same stream.
        shard: (index, count) of this host. The batches that the hosts take at the same
            time are, in order, one batch of a single host: over all of them each image
            comes once an epoch.

    Returns:
        Iterator over {"image": uint8 [b crop_size crop_size 3], "target", "valid",
        "others": bool [b crop_size crop_size]}.

    Raises:
        ValueError: There is no image, the shard, batch or seed is impossible, or the file
            of scores does not fit the images.
    """
    host_index, num_hosts = shard
    if not len(dataset) or not 0 <= host_index < num_hosts:
        raise ValueError(
            f"shard {host_index} of {num_hosts} from {len(dataset)} images; expected an "
            "index below the number of hosts and at least one image"
        )
    if batch_size < 1 or crop_size < 1 or not 0 <= seed < 2**32:
        raise ValueError(
            f"batch {batch_size}, crop {crop_size}, seed {seed}: batch and crop begin at "
            "1, the seed is 0 to 2**32 - 1"
        )
    # 1. An endless stream of examples, the same on all hosts.
    if options.difficulty_file is not None:
        example_stream = _sample_by_difficulty(dataset, seed, options)
    else:
        example_stream = grain.MapDataset.source(dataset).seed(seed).shuffle().repeat()
    # 2. Targets and augmentations, whose random numbers follow from the position.
    draw_sample = DrawTrainingSample(
        crop_size, options.target_sampling, options.augmentation
    )
    batch_stream = example_stream.random_map(draw_sample).batch(
        batch_size, drop_remainder=True
    )
    # 3. The hosts take turns: every host sees each `num_hosts`-th batch of one stream.
    return BatchIterator(
        batch_stream[host_index::num_hosts], num_workers=options.num_workers
    )


def _sample_by_difficulty(
    dataset: Sequence[Example], seed: int, options: PipelineOptions
) -> grain.MapDataset:
    """Make an endless stream in which difficult images come more often."""
    score_path = Path(str(options.difficulty_file))
    scores = read_score_file(score_path)
    # Only a prepared dataset knows the names of its images without decoding them.
    image_ids = cast(PreparedDataset, dataset).read_ids()
    try:
        probabilities = sampling_probabilities(
            image_ids, scores, gamma=options.difficulty_gamma
        )
    except ValueError as error:
        raise ValueError(f"config.data.difficulty_file {score_path}: {error}") from None
    position_stream = grain.MapDataset.range(len(dataset)).seed(seed).repeat()
    index_stream = position_stream.random_map(WeightedIndexSampler(probabilities))
    return index_stream.map(dataset.__getitem__)
