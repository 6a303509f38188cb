"""What every data set that is read from a folder has in common.

A builder says what its folder must hold, lists the pictures of each split with the files
that belong to them, and opens those files as label maps. Reading, checking, reporting and
writing are done here.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt16

from mst_jax.data import record
from mst_jax.data.builders.discovery import Item, find_root
from mst_jax.data.errors import Faults
from mst_jax.data.example import IGNORED
from mst_jax.data.formats.images import EncodedPicture, read_labels, read_picture

ANY = "any"  # variants of a user's own naming


class SourceSet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set that is read from a folder.

    Attributes:
        ABOUT: one sentence about the set.
        LAYOUT: what the folder must hold, in words.
        NEEDED: files and folders that must be there, see `find_root`.
        NESTED: folders to which its archive unpacks, tried after the source itself.
        VARIANTS: names of the set's variants, or ANY.
        MAY_BE_EMPTY: are pictures without an object left out silently, or a fault?
        root: the folder that holds what is needed.
        faults: the files left out, once the set is written.
    """

    VERSION = tfds.core.Version("1.0.0")
    ABOUT: ClassVar[str]
    LAYOUT: ClassVar[str]
    NEEDED: ClassVar[tuple[str, ...]]
    NESTED: ClassVar[tuple[str, ...]] = ()
    VARIANTS: ClassVar[tuple[str, ...] | str] = ()
    MAY_BE_EMPTY: ClassVar[bool] = False

    def __init__(
        self,
        *,
        source: str,
        skip_bad: bool = False,
        progress: Callable[[Iterable], Iterable] = iter,
        **kwargs: object,
    ) -> None:
        self.root = find_root(
            Path(source), self.NEEDED, nested=self.NESTED, layout=self.LAYOUT
        )
        self._skip_bad, self._progress = skip_bad, progress
        self.faults = Faults(self.root)
        super().__init__(**kwargs)

    @abc.abstractmethod
    def find_items(self) -> Mapping[str, Sequence[Item]]:
        """The pictures of each split; faults of listing go to `self.faults`."""

    def open_layers(self, mask: Path) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Opens a file of a picture as label maps, none if nothing in it is wanted.

        As it stands: a label map as `read_labels` knows them.

        Raises:
            ValueError: the file is damaged or not what it should be.
        """
        return [read_labels(mask)]

    def read(self, item: Item) -> Iterator[dict[str, object]]:
        """Yields the record of a picture, or none if the picture or all masks are bad."""
        picture, layers = None, []
        with self.faults.caught(item.picture):
            picture = read_picture(item.picture)
        for mask in item.masks:
            with self.faults.caught(mask):
                opened = self.open_layers(mask)
                if picture is not None:
                    check_size(opened, picture)
                layers += self._with_objects(opened)
        if picture is not None and layers:
            yield record.make_record(item.id, picture.data, layers)

    def _with_objects(
        self, layers: Sequence[UInt16[np.ndarray, "h w"]]
    ) -> list[UInt16[np.ndarray, "h w"]]:
        kept = [labels for labels in layers if has_object(labels)]
        if layers and not kept and not self.MAY_BE_EMPTY:
            raise ValueError("has no object (every pixel is background or ignored)")
        self.faults.remark("label maps without an object", len(layers) - len(kept))
        return kept

    def _info(self) -> tfds.core.DatasetInfo:
        return record.describe(self, self.ABOUT)

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        items = {
            split: self._unique(found) for split, found in self.find_items().items()
        }
        return {split: self._generate_examples(split, items) for split in items}

    def _unique(self, items: Sequence[Item]) -> list[Item]:
        first: dict[str, Item] = {}
        for item in items:
            if first.setdefault(item.id, item) is not item:
                other = first[item.id].picture
                self.faults.add(item.picture, f"has the same name as {other}")
        return list(first.values())

    def _generate_examples(
        self, split: str, items: Mapping[str, Sequence[Item]]
    ) -> Iterator[tuple[str, dict[str, object]]]:
        num_good = 0
        for row in self._rows(items[split]):
            num_good += 1
            yield row["id"], row
        rest = list(items)[list(items).index(split) + 1 :]
        if rest and num_good:
            return
        for other in rest:  # nothing can be written, but all faults are to be told
            for _ in self._rows(items[other]):
                pass
        self.faults.settle(skip=self._skip_bad, num_good=num_good)

    def _rows(self, items: Sequence[Item]) -> Iterator[dict[str, object]]:
        for item in self._progress(items):
            with self.faults.caught(item.picture):
                yield from self.read(item)


def check_size(
    layers: Sequence[UInt16[np.ndarray, "_ _"]], picture: EncodedPicture
) -> None:
    """Raises ValueError unless label maps and picture are of one size."""
    for labels in layers:
        if labels.shape != (picture.height, picture.width):
            raise ValueError(
                f"is {labels.shape[0]}x{labels.shape[1]}, its picture "
                f"{picture.height}x{picture.width} (height x width)"
            )


def has_object(labels: UInt16[np.ndarray, "h w"]) -> bool:
    """Is any pixel neither background nor ignored?"""
    return bool(((labels > 0) & (labels < IGNORED)).any())
