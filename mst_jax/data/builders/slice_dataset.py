"""What medical sets have in common: pictures of slices, or whole volumes."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data import record
from mst_jax.data.builders.discovery import Item
from mst_jax.data.builders.folder_dataset import SourceSet, has_object
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.nifti import is_volume, read_slices


class SliceSet(SourceSet, skip_registration=True):
    """A set whose items are pictures with masks or NIfTI volumes with labels.

    Slices without an object are left out.
    """

    MAY_BE_EMPTY = True

    @abc.abstractmethod
    def open_labels(self, mask: Path) -> UInt16[np.ndarray, "h w"]:
        """Opens the mask of a picture; ValueError if it is damaged."""

    @abc.abstractmethod
    def choose_objects(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        """The objects among the labels of a picture or slice."""

    def open_layers(self, mask: Path) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """The objects of a picture's mask."""
        return [self.choose_objects(self.open_labels(mask))]

    def read(self, item: Item) -> Iterator[dict[str, object]]:
        """Yields the record of a picture, or of each slice of a volume."""
        if not is_volume(item.picture):
            yield from super().read(item)
            return
        for number, image, labels in read_slices(item.picture, *item.masks):
            if not has_object(labels):
                self.faults.remark("slices without an object")
                continue
            grey = encode_png(np.repeat(image[..., None], 3, axis=-1))
            name = f"{item.id}-{number:03d}"
            yield record.make_record(name, grey, [self.choose_objects(labels)])
