"""DAVIS-345: 345 video frames, one object each; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats.images import read_foreground


class Davis(SourceSet):
    """Reads `img/` and `gt/`; split `test`; every label is part of the one object.

    Source: Perazzi et al., DAVIS, CVPR 2016; the frames that Jang and Kim, BRS, CVPR
    2019 chose, a tenth of each sequence.
    """

    ABOUT = "DAVIS: 345 frames with one object each."
    LAYOUT = "img/STEM.jpg and gt/STEM.png (palette, grey or RGB; not black = object)"
    NEEDED = ("img", "gt")
    NESTED = ("DAVIS",)

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask."""
        return {"test": find_pairs(self.root / "img", self.root / "gt", self.faults)}

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Whatever is not background is the object."""
        return [read_foreground(mask).astype(np.uint16)]
