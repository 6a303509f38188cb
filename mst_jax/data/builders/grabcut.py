"""GrabCut: 50 images, one object each; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.example import IGNORE_LABEL

# Pixels near the border are marked as unsure; scores ignore them.
_OBJECT_VALUE, _UNSURE_VALUE = 255, 128


class Grabcut(FolderDatasetBuilder):
    """Reads `data_GT/` and `boundary_GT/`; split `test`.

    Source: Rother, Kolmogorov, Blake, GrabCut, SIGGRAPH 2004.
    """

    DESCRIPTION = "GrabCut: 50 images with one object each."
    SOURCE_LAYOUT = "data_GT/STEM.jpg or .bmp (images) and boundary_GT/STEM.bmp (masks)"
    REQUIRED_PATHS = ("data_GT", "boundary_GT")
    ARCHIVE_FOLDERS = ("GrabCut",)

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask."""
        source_items = find_pairs(
            self.source_dir / "data_GT",
            self.source_dir / "boundary_GT",
            self.errors,
            mask_suffixes=(".bmp", ".png"),
        )
        return {"test": source_items}

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read one object: 255 = object, 128 = unsure, 0 = background.

        Raises:
            ValueError: The mask has other values.
        """
        # Other values mean that the masks of another dataset are in the folder.
        mask_values = self.open_label_map(mask_path)
        unknown_values = np.setdiff1d(mask_values, [0, _UNSURE_VALUE, _OBJECT_VALUE])
        if unknown_values.size:
            raise ValueError(
                f"has values {unknown_values[:5].tolist()}, expected 0, 128 and 255"
            )
        labels = (mask_values == _OBJECT_VALUE).astype(np.uint16)
        labels[mask_values == _UNSURE_VALUE] = IGNORE_LABEL
        return [labels]
