"""COCO_MVal: 800 images of COCO, one object each; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder


class CocoMval(FolderDatasetBuilder):
    """Reads `img/` and `gt/`; split `test`.

    Source: Lin et al., COCO, ECCV 2014; the 10 objects of each of 80 classes that
    Sofiiuk et al., f-BRS, CVPR 2020 selected from the validation images.
    """

    DESCRIPTION = "COCO_MVal: 800 images with one object each, 10 of each COCO class."
    SOURCE_LAYOUT = "img/CLASSNN_ID.jpg and gt/CLASSNN_ID.png (not black = object)"
    REQUIRED_PATHS = ("img", "gt")
    ARCHIVE_FOLDERS = ("COCO_MVal",)
    READS_SOFT_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask."""
        image_folder, mask_folder = self.source_dir / "img", self.source_dir / "gt"
        return {"test": find_pairs(image_folder, mask_folder, self.errors)}

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read one object: every pixel that is not black."""
        return [self.open_object_mask(mask_path)]
