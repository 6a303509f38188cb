"""Pascal VOC 2012, segmentation: 1,464 training and 1,449 validation images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, read_name_list
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.example import IGNORE_LABEL

_VOID_VALUES = (255, 220)  # as a palette index, and in copies converted to gray
_LIST_FOLDER = "ImageSets/Segmentation"


class PascalVoc(FolderDatasetBuilder):
    """Reads `JPEGImages/`, `SegmentationObject/` and the lists; splits `train`, `val`.

    The border around objects is void: ignored.

    Source: Everingham et al., The Pascal VOC challenge, IJCV 2010.
    """

    DESCRIPTION = "Pascal VOC 2012: every object of 20 classes."
    SOURCE_LAYOUT = (
        "JPEGImages/ID.jpg, SegmentationObject/ID.png and ImageSets/Segmentation/"
        "train.txt, val.txt (or one of them), as in VOCdevkit/VOC2012"
    )
    REQUIRED_PATHS = (
        *("JPEGImages", "SegmentationObject"),
        f"{_LIST_FOLDER}/train.txt|{_LIST_FOLDER}/val.txt",
    )
    ARCHIVE_FOLDERS = ("VOC2012", "VOCdevkit/VOC2012")

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images of each split's list."""
        # Most of the images are for detection only, so the lists decide.
        list_paths = {
            split: self.source_dir / _LIST_FOLDER / f"{split}.txt"
            for split in ("train", "val")
        }
        return {
            split: [
                SourceItem(
                    image_name,
                    self.source_dir / "JPEGImages" / f"{image_name}.jpg",
                    (self.source_dir / "SegmentationObject" / f"{image_name}.png",),
                )
                for image_name in read_name_list(list_path)
            ]
            for split, list_path in list_paths.items()
            if list_path.exists()
        }

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read the objects; void pixels become ignored."""
        labels = self.open_label_map(mask_path)
        # Void borders are ignored, not background: either side may be right.
        is_void = np.isin(labels, _VOID_VALUES)
        return [np.where(is_void, np.uint16(IGNORE_LABEL), labels)]
