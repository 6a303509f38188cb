"""BSDS500: 500 pictures, each parted into regions by several people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats import matlab
from mst_jax.data.formats.images import as_labels

_SPLITS = ("train", "val", "test")


class Bsds500(SourceSet):
    """Reads `images/` and `groundTruth/`; splits `train`, `val`, `test`.

    Each annotator is a layer; regions cover the whole picture.

    Source: Arbelaez et al., Contour detection and hierarchical image segmentation,
    PAMI 2011.
    """

    ABOUT = "BSDS500: pictures parted into regions, each by about five people."
    LAYOUT = "images/SPLIT/ID.jpg and groundTruth/SPLIT/ID.mat, SPLIT train, val, test"
    NEEDED = tuple(
        "|".join(f"{folder}/{split}" for split in _SPLITS)
        for folder in ("images", "groundTruth")
    )
    NESTED = ("data", "BSDS500/data", "BSR/BSDS500/data")

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and annotations, split by split."""
        return {
            split: find_pairs(
                self.root / "images" / split,
                self.root / "groundTruth" / split,
                self.faults,
                mask_suffixes=(".mat",),
            )
            for split in _SPLITS
            if (self.root / "images" / split).is_dir()
        }

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """The regions of each annotator."""
        people = matlab.read_variable(mask, "groundTruth")
        if people.dtype != object:
            raise ValueError(f"groundTruth holds {people.dtype}, expected a cell array")
        return [
            as_labels(matlab.read_field(person, "Segmentation"))
            for person in people.ravel()
        ]
