"""Base class of the medical datasets: images of slices, or whole NIfTI volumes."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16

from mst_jax.data import record
from mst_jax.data.builders.discovery import SourceItem
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder, contains_object
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.nifti import is_volume, read_slices


class SliceDatasetBuilder(FolderDatasetBuilder, skip_registration=True):
    """Builder of a dataset of images with masks, or of NIfTI volumes with labels.

    Slices without an object are left out.
    """

    ALLOW_EMPTY_MASKS = True

    @abc.abstractmethod
    def read_slice_labels(self, mask_path: Path) -> UInt16[np.ndarray, "h w"]:
        """Read the mask file of a slice that is stored as an image.

        Args:
            mask_path: The mask file.

        Raises:
            ValueError: The file is damaged.
        """

    @abc.abstractmethod
    def select_objects(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        """Select the objects among the labels of a slice.

        Args:
            labels: [h w] labels as the dataset stores them.

        Returns:
            [h w] label map.
        """

    def read_layers(self, mask_path: Path) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Read the objects in the mask file of a slice."""
        return [self.select_objects(self.read_slice_labels(mask_path))]

    def read_records(self, item: SourceItem) -> Iterator[dict[str, Any]]:
        """Yield the record of an image, or of each slice of a volume."""
        if not is_volume(item.image_path):
            yield from super().read_records(item)
            return
        for volume_slice in read_slices(item.image_path, *item.mask_paths):
            if not contains_object(volume_slice.labels):
                self.errors.count_skipped("slices without an object")
                continue
            # Each slice becomes an example. Models read RGB: repeat the gray values.
            rgb_image = np.repeat(volume_slice.image[..., None], 3, axis=-1)
            yield record.encode_record(
                f"{item.id}-{volume_slice.index:03d}",
                encode_png(rgb_image),
                [self.select_objects(volume_slice.labels)],
            )
