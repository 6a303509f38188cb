"""Pascal VOC 2012, segmentation: 1,464 pictures to train with, 1,449 to test with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, read_names
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.example import IGNORED
from mst_jax.data.formats.images import read_labels

_VOID = (255, 220)  # as an entry of the palette, and where it was turned into grey
_LISTS = "ImageSets/Segmentation"


class PascalVoc(SourceSet):
    """Reads `JPEGImages/`, `SegmentationObject/` and the lists; splits `train`, `val`.

    The border around objects is void: ignored.

    Source: Everingham et al., The Pascal VOC challenge, IJCV 2010.
    """

    ABOUT = "Pascal VOC 2012: every object of 20 classes."
    LAYOUT = (
        "JPEGImages/ID.jpg, SegmentationObject/ID.png and ImageSets/Segmentation/"
        "train.txt, val.txt (or one of them), as in VOCdevkit/VOC2012"
    )
    NEEDED = (
        *("JPEGImages", "SegmentationObject"),
        f"{_LISTS}/train.txt|{_LISTS}/val.txt",
    )
    NESTED = ("VOC2012", "VOCdevkit/VOC2012")

    def find_items(self) -> dict[str, list[Item]]:
        """The pictures of each list."""
        return {
            split: [
                Item(
                    name,
                    self.root / "JPEGImages" / f"{name}.jpg",
                    (self.root / "SegmentationObject" / f"{name}.png",),
                )
                for name in read_names(self.root / _LISTS / f"{split}.txt")
            ]
            for split in ("train", "val")
            if (self.root / _LISTS / f"{split}.txt").exists()
        }

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """The objects; void becomes ignored."""
        labels = read_labels(mask)
        return [np.where(np.isin(labels, _VOID), np.uint16(IGNORED), labels)]
