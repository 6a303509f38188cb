"""BSDS500: 500 images, each divided into regions by several annotators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats import matlab
from mst_jax.data.formats.label_maps import to_label_map

_SPLIT_NAMES = ("train", "val", "test")


class Bsds500(FolderDatasetBuilder):
    """Reads `images/` and `groundTruth/`; splits `train`, `val`, `test`.

    Each annotator is a layer; regions cover the whole image.

    Source: Arbelaez et al., Contour detection and hierarchical image segmentation,
    PAMI 2011.
    """

    DESCRIPTION = "BSDS500: images divided into regions, each by about five annotators."
    SOURCE_LAYOUT = (
        "images/SPLIT/ID.jpg and groundTruth/SPLIT/ID.mat, SPLIT train, val, test"
    )
    # One split is enough.
    REQUIRED_PATHS = tuple(
        "|".join(f"{folder}/{split}" for split in _SPLIT_NAMES)
        for folder in ("images", "groundTruth")
    )
    ARCHIVE_FOLDERS = ("data", "BSDS500/data", "BSR/BSDS500/data")

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and annotation file, split by split."""
        # Annotations are .mat files, so the pairs differ in their suffixes.
        return {
            split: find_pairs(
                self.source_dir / "images" / split,
                self.source_dir / "groundTruth" / split,
                self.errors,
                mask_suffixes=(".mat",),
            )
            for split in _SPLIT_NAMES
            if (self.source_dir / "images" / split).is_dir()
        }

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read the regions of each annotator."""
        annotator_cells = matlab.read_variable(mask_path, "groundTruth")
        # A MATLAB cell array arrives as an array of objects, one for each annotator.
        if annotator_cells.dtype != object:
            raise ValueError(
                f"groundTruth holds {annotator_cells.dtype}, expected a cell array"
            )
        return [
            to_label_map(matlab.read_field(annotator_cell, "Segmentation"))
            for annotator_cell in annotator_cells.ravel()
        ]
