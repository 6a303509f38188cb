"""DAVIS-345: 345 video frames, one object each; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder


class Davis(FolderDatasetBuilder):
    """Reads `img/` and `gt/`; split `test`; every label is part of the one object.

    Source: Perazzi et al., DAVIS, CVPR 2016; the frames that Jang and Kim, BRS, CVPR
    2019 selected, a tenth of each sequence.
    """

    DESCRIPTION = "DAVIS: 345 frames with one object each."
    SOURCE_LAYOUT = (
        "img/STEM.jpg and gt/STEM.png (palette, gray or RGB; not black = object)"
    )
    REQUIRED_PATHS = ("img", "gt")
    ARCHIVE_FOLDERS = ("DAVIS",)
    READS_SOFT_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask."""
        image_folder, mask_folder = self.source_dir / "img", self.source_dir / "gt"
        return {"test": find_pairs(image_folder, mask_folder, self.errors)}

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read one object: every pixel that is not black."""
        return [self.open_object_mask(mask_path)]
