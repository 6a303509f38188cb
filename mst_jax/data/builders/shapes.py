"""Synthetic scenes for tests, the quick start and first experiments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mst_jax.data import record
from mst_jax.data.builders.folder_dataset import ProgressFn
from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.images import encode_jpeg
from mst_jax.data.synthetic.scenes import draw_scene
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import tensorflow_datasets as tfds

_SPLIT_NAMES = ("train", "validation")


class Shapes(tfds.core.GeneratorBasedBuilder):
    """Draws synthetic scenes; splits `train` and `validation`.

    Image i of a split depends on the seed, the split and i alone: a larger set begins
    with the images of a smaller one.

    Attributes:
        errors: Always empty; every builder has it.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        *,
        num_train: int = 2000,
        num_validation: int = 100,
        size: int = 160,
        seed: int = 0,
        progress_fn: ProgressFn = iter,
        **builder_options: Any,
    ) -> None:
        """Check the options; nothing is drawn yet.

        Args:
            num_train: Number of training images, at least 1.
            num_validation: Number of validation images, at least 1.
            size: Height and width of the images in pixels, at least 32.
            seed: Seed of all random numbers, at least 0.
            progress_fn: Wraps the iteration over the images of a split.
            **builder_options: Arguments of `tfds.core.GeneratorBasedBuilder`.

        Raises:
            ValueError: A number is below its minimum.
        """
        if num_train < 1 or num_validation < 1 or size < 32 or seed < 0:
            raise ValueError(
                f"{num_train} train and {num_validation} validation images of "
                f"{size} pixels, seed {seed}: at least 1, 1, 32 and 0 are needed"
            )
        self._num_images = {"train": num_train, "validation": num_validation}
        self._image_size, self._seed, self._progress = size, seed, progress_fn
        self.errors = ErrorCollector()
        super().__init__(**builder_options)

    def _info(self) -> tfds.core.DatasetInfo:
        return record.make_dataset_info(
            self, "Synthetic, textured, overlapping shapes."
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        return {split: self._generate_examples(split) for split in _SPLIT_NAMES}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in self._progress(range(self._num_images[split])):
            # A generator of its own makes each image independent of the others.
            split_index = _SPLIT_NAMES.index(split)
            rng = np.random.default_rng([self._seed, split_index, index])
            image, labels = draw_scene(rng, size=self._image_size)
            # JPEG, as photographs are: its artifacts are part of the task.
            image_name = f"{split}-{index:06d}"
            yield (
                image_name,
                record.encode_record(image_name, encode_jpeg(image), [labels]),
            )
