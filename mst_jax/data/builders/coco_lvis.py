"""COCO+LVIS: 99 thousand pictures, 1.5 million objects; the large training set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mst_jax.data.coco_file import Listed
from mst_jax.data.listed_set import ListedSet
from mst_jax.data.overlaps import find_doubles
from mst_jax.data.packed_layers import Note, find_packed, read_packed
from mst_jax.data.source_folder import Item

_PACKED = "hannotation.pickle"
_LISTS = ("lvis_v1_{}.json", "annotations/lvis_v1_{}.json")
_LEAST_AREA, _DOUBLE = 80, 0.85  # pixels, overlap: as in the published combination


class CocoLvis(ListedSet):
    """Reads the packed form of the click literature, or LVIS v1; splits `train`, `val`.

    Packed: objects of COCO and LVIS with their parts, and stuff. From LVIS v1 itself:
    its objects from 80 pixels on, each once, parts by how much of one lies in another; no
    stuff.

    Source: Gupta et al., LVIS, CVPR 2019; packed by Sofiiuk et al., RITM, ICIP 2022.
    """

    ABOUT = "COCO+LVIS: pictures with very many objects, their parts, and stuff."
    LAYOUT = (
        "train/images/ID.jpg, train/masks/ID.pickle, train/hannotation.pickle (val/ "
        "likewise), or lvis_v1_train.json, lvis_v1_val.json with COCO's train2017/ID.jpg "
        "and val2017/ID.jpg (one split will do)"
    )
    NEEDED = (
        "|".join(
            path
            for split in ("train", "val")
            for path in (f"{split}/{_PACKED}", *(name.format(split) for name in _LISTS))
        ),
    )
    NESTED = ("LVIS", "lvis", "COCO_LVIS")

    def find_items(self) -> dict[str, list[Item]]:
        """The pictures of each split, packed or listed."""
        self._notes: dict[Path, Note] = {}
        items = {}
        for split in ("train", "val"):
            lists = [self.root / name.format(split) for name in _LISTS]
            there = [path for path in lists if path.is_file()]
            if (self.root / split / _PACKED).is_file():
                items[split], notes = find_packed(self.root / split)
                self._notes |= {item.picture: notes[item.id] for item in items[split]}
            elif there:
                folders = (self.root, self.root / "images", self.root.parent)
                items[split] = self.list_pictures(there[0], folders)
        return items

    def read(self, item: Item) -> Iterator[dict[str, object]]:
        """Yields the record of a picture, packed or listed."""
        if item.picture in self._notes:
            yield from read_packed(item, self._notes[item.picture], self.faults)
        else:
            yield from super().read(item)

    def open_masks(
        self, listed: Listed, coco: Path
    ) -> Sequence[Bool[np.ndarray, "h w"]]:
        """The objects of a picture, none too small, none twice."""
        masks = super().open_masks(listed, coco)
        large = [mask for mask in masks if np.count_nonzero(mask) >= _LEAST_AREA]
        self.faults.remark("objects of under 80 pixels", len(masks) - len(large))
        doubles = find_doubles(large, least_iou=_DOUBLE)
        self.faults.remark("objects listed twice", len(doubles))
        return [mask for number, mask in enumerate(large) if number not in doubles]
