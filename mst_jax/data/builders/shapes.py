"""Drawn scenes: for tests, the quick start and the first five minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow_datasets as tfds

from mst_jax.data import record
from mst_jax.data.errors import Faults
from mst_jax.data.formats.images import encode_jpeg
from mst_jax.data.synthetic.scenes import draw_scene

_SPLITS = ("train", "validation")


class Shapes(tfds.core.GeneratorBasedBuilder):
    """Draws scenes; splits `train` and `validation`.

    Picture i of a split depends on the seed, the split and i alone: a larger set begins
    with the pictures of a smaller one.

    Attributes:
        faults: stays empty; every builder has it.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        *,
        num_train: int = 2000,
        num_validation: int = 100,
        size: int = 160,
        seed: int = 0,
        progress: Callable[[Iterable], Iterable] = iter,
        **kwargs: object,
    ) -> None:
        if num_train < 1 or num_validation < 1 or size < 32 or seed < 0:
            raise ValueError(
                f"{num_train} train and {num_validation} validation pictures of "
                f"{size} pixels, seed {seed}: at least 1, 1, 32 and 0 are needed"
            )
        self._counts = dict(zip(_SPLITS, (num_train, num_validation), strict=True))
        self._size, self._seed, self._progress = size, seed, progress
        self.faults = Faults()
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return record.describe(self, "Drawn, textured, overlapping shapes.")

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, object]]]:
        for number in self._progress(range(self._counts[split])):
            rng = np.random.default_rng([self._seed, _SPLITS.index(split), number])
            image, labels = draw_scene(rng, size=self._size)
            name = f"{split}-{number:06d}"
            yield name, record.make_record(name, encode_jpeg(image), [labels])
