"""COCO_MVal: 800 pictures of COCO, one object each; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats.images import read_foreground


class CocoMval(SourceSet):
    """Reads `img/` and `gt/`; split `test`.

    Source: Lin et al., COCO, ECCV 2014; the 10 objects of each of 80 classes that
    Sofiiuk et al., f-BRS, CVPR 2020 chose from the validation pictures.
    """

    ABOUT = "COCO_MVal: 800 pictures with one object each, 10 of each COCO class."
    LAYOUT = "img/CLASSNN_ID.jpg and gt/CLASSNN_ID.png (not black = object)"
    NEEDED = ("img", "gt")
    NESTED = ("COCO_MVal",)

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask."""
        return {"test": find_pairs(self.root / "img", self.root / "gt", self.faults)}

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Whatever is not background is the object."""
        return [read_foreground(mask).astype(np.uint16)]
