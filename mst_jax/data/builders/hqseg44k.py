"""HQSeg-44K: 44,320 pictures to train with, 1,537 to test with, one fine mask each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats.images import read_foreground

# Name, folder of the pictures, folder of the masks.
_PARTS = {
    "train": (
        ("DIS5K-TR", "DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt"),
        (
            "ThinObject5K-TR",
            "thin_object_detection/ThinObject5K/images_train",
            "thin_object_detection/ThinObject5K/masks_train",
        ),
        ("FSS", "cascade_psp/fss_all", "cascade_psp/fss_all"),
        ("DUTS-TR", "cascade_psp/DUTS-TR", "cascade_psp/DUTS-TR"),
        ("DUTS-TE", "cascade_psp/DUTS-TE", "cascade_psp/DUTS-TE"),
        ("ECSSD", "cascade_psp/ecssd", "cascade_psp/ecssd"),
        ("MSRA-10K", "cascade_psp/MSRA_10K", "cascade_psp/MSRA_10K"),
    ),
    "val": (
        ("DIS5K-VD", "DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"),
        (
            "ThinObject5K-TE",
            "thin_object_detection/ThinObject5K/images_test",
            "thin_object_detection/ThinObject5K/masks_test",
        ),
        (
            "COIFT",
            "thin_object_detection/COIFT/images",
            "thin_object_detection/COIFT/masks",
        ),
        (
            "HRSOD",
            "thin_object_detection/HRSOD/images",
            "thin_object_detection/HRSOD/masks_max255",
        ),
    ),
}


class Hqseg44k(SourceSet):
    """Reads the eleven sets it is made of; splits `train`, `val`.

    A split none of whose sets is there is left out; where only some are missing, each is
    a fault.

    Source: Ke et al., Segment anything in high quality, NeurIPS 2023.
    """

    ABOUT = "HQSeg-44K: pictures with one finely drawn object each."
    LAYOUT = (
        "DIS5K/, thin_object_detection/ and cascade_psp/ with pictures STEM.jpg and "
        "masks STEM.png, as SAM-HQ publishes them"
    )
    NEEDED = ("DIS5K|thin_object_detection|cascade_psp",)
    NESTED = ("data", "HQSeg-44K", "sam-hq-training")

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask, set by set."""
        found = {split: self._find_split(parts) for split, parts in _PARTS.items()}
        return {split: items for split, items in found.items() if items is not None}

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Whatever is not black is the object, as SegNext and MST have it."""
        return [read_foreground(mask).astype(np.uint16)]

    def _find_split(self, parts: tuple[tuple[str, str, str], ...]) -> list[Item] | None:
        there = [part for part in parts if (self.root / part[1]).is_dir()]
        if not there:
            return None
        items = []
        for part in parts:
            name, pictures, masks = part
            if part not in there or not (self.root / masks).is_dir():
                self.faults.add(self.root / masks, f"{name} is missing or not whole")
                continue
            items += find_pairs(
                self.root / pictures,
                self.root / masks,
                self.faults,
                picture_suffixes=(".jpg", ".jpeg"),
                mask_suffixes=(".png",),
                prefix=f"{name}-",
            )
        return items
