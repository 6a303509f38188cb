"""HQSeg-44K: 44,320 training and 1,537 test images with one fine mask each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder


class _PartSet(NamedTuple):
    """One of the datasets of which HQSeg-44K consists."""

    name: str
    image_folder: str
    mask_folder: str


_THIN_OBJECTS = "thin_object_detection"
# The layout of the archives that SAM-HQ publishes.
_PART_SETS = {
    "train": (
        _PartSet("DIS5K-TR", "DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt"),
        _PartSet(
            "ThinObject5K-TR",
            f"{_THIN_OBJECTS}/ThinObject5K/images_train",
            f"{_THIN_OBJECTS}/ThinObject5K/masks_train",
        ),
        _PartSet("FSS", "cascade_psp/fss_all", "cascade_psp/fss_all"),
        _PartSet("DUTS-TR", "cascade_psp/DUTS-TR", "cascade_psp/DUTS-TR"),
        _PartSet("DUTS-TE", "cascade_psp/DUTS-TE", "cascade_psp/DUTS-TE"),
        _PartSet("ECSSD", "cascade_psp/ecssd", "cascade_psp/ecssd"),
        _PartSet("MSRA-10K", "cascade_psp/MSRA_10K", "cascade_psp/MSRA_10K"),
    ),
    "val": (
        _PartSet("DIS5K-VD", "DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"),
        _PartSet(
            "ThinObject5K-TE",
            f"{_THIN_OBJECTS}/ThinObject5K/images_test",
            f"{_THIN_OBJECTS}/ThinObject5K/masks_test",
        ),
        _PartSet(
            "COIFT", f"{_THIN_OBJECTS}/COIFT/images", f"{_THIN_OBJECTS}/COIFT/masks"
        ),
        _PartSet(
            "HRSOD",
            f"{_THIN_OBJECTS}/HRSOD/images",
            f"{_THIN_OBJECTS}/HRSOD/masks_max255",
        ),
    ),
}


class Hqseg44k(FolderDatasetBuilder):
    """Reads the eleven datasets of which it consists; splits `train`, `val`.

    A split is left out if none of its datasets is there; if only some are missing,
    each is an error.

    Source: Ke et al., Segment anything in high quality, NeurIPS 2023.
    """

    DESCRIPTION = "HQSeg-44K: images with one finely annotated object each."
    SOURCE_LAYOUT = (
        "DIS5K/, thin_object_detection/ and cascade_psp/ with images STEM.jpg and "
        "masks STEM.png, as SAM-HQ publishes them"
    )
    REQUIRED_PATHS = ("DIS5K|thin_object_detection|cascade_psp",)
    ARCHIVE_FOLDERS = ("data", "HQSeg-44K", "sam-hq-training")
    READS_SOFT_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask, dataset by dataset."""
        items_by_split = {
            split: self._find_split(part_sets)
            for split, part_sets in _PART_SETS.items()
        }
        return {
            split: items for split, items in items_by_split.items() if items is not None
        }

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read one object: every pixel that is not black, as in SegNext and MST."""
        return [self.open_object_mask(mask_path)]

    def _find_split(self, part_sets: tuple[_PartSet, ...]) -> list[SourceItem] | None:
        """List the images of a split, None if none of its datasets is there."""
        # No dataset: the split was not downloaded. Only some: an incomplete download.
        has_images = [
            (self.source_dir / part_set.image_folder).is_dir() for part_set in part_sets
        ]
        if not any(has_images):
            return None
        source_items = []
        for part_set, part_has_images in zip(part_sets, has_images, strict=True):
            mask_folder = self.source_dir / part_set.mask_folder
            if not part_has_images or not mask_folder.is_dir():
                reason = f"{part_set.name} is missing or incomplete"
                self.errors.add_error(mask_folder, reason)
                continue
            # Some of the datasets keep images and masks in one folder, hence suffixes.
            source_items += find_pairs(
                self.source_dir / part_set.image_folder,
                mask_folder,
                self.errors,
                image_suffixes=(".jpg", ".jpeg"),
                mask_suffixes=(".png",),
                id_prefix=f"{part_set.name}-",
            )
        return source_items
