"""GrabCut: 50 pictures, one object each; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.example import IGNORED
from mst_jax.data.formats.images import read_labels

_OBJECT, _UNSURE = 255, 128


class Grabcut(SourceSet):
    """Reads `data_GT/` and `boundary_GT/`; split `test`.

    Source: Rother, Kolmogorov, Blake, GrabCut, SIGGRAPH 2004.
    """

    ABOUT = "GrabCut: 50 pictures with one object each."
    LAYOUT = "data_GT/STEM.jpg or .bmp (pictures) and boundary_GT/STEM.bmp (masks)"
    NEEDED = ("data_GT", "boundary_GT")
    NESTED = ("GrabCut",)

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask."""
        pictures, masks = self.root / "data_GT", self.root / "boundary_GT"
        suffixes = (".bmp", ".png")
        return {
            "test": find_pairs(pictures, masks, self.faults, mask_suffixes=suffixes)
        }

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """255 = object, 128 = unsure, 0 = background; ValueError for other values."""
        values = read_labels(mask)
        strange = np.setdiff1d(values, [0, _UNSURE, _OBJECT])
        if strange.size:
            raise ValueError(
                f"has values {strange[:5].tolist()}, expected 0, 128 and 255"
            )
        labels = (values == _OBJECT).astype(np.uint16)
        labels[values == _UNSURE] = IGNORED
        return [labels]
