"""COCO+LVIS: 99 thousand pictures, 1.5 million objects; the large training set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.builders.coco_dataset import ListedSet
from mst_jax.data.builders.discovery import Item
from mst_jax.data.errors import BadFile
from mst_jax.data.formats.coco import Listed
from mst_jax.data.formats.coco_panoptic import Segments, open_segments, read_panoptic
from mst_jax.data.formats.ritm_pickle import Note, find_packed, read_packed
from mst_jax.data.overlap_layers import find_doubles, find_known, stack_layers

_PACKED = "hannotation.pickle"
_LISTS = ("lvis_v1_{}.json", "annotations/lvis_v1_{}.json")
_PANOPTIC = ("annotations/panoptic_{}2017", "panoptic_{}2017")  # .json, and a folder
# As in the published combination: pixels of an object, of stuff; overlap from which an
# object of LVIS is one listed twice, and one of COCO is known to LVIS.
_LEAST_AREA, _LEAST_STUFF, _DOUBLE, _KNOWN = 80, 501, 0.85, 0.7


class CocoLvis(ListedSet):
    """Reads the packed form of the click literature, or LVIS v1; splits `train`, `val`.

    Packed: objects of COCO and LVIS with their parts, and stuff. From LVIS v1 itself:
    its objects from 80 pixels on, each once, parts by how much of one lies in another;
    with COCO's panoptic annotations beside it also the objects that LVIS lacks, and stuff.

    Source: Gupta et al., LVIS, CVPR 2019; packed by Sofiiuk et al., RITM, ICIP 2022.
    """

    ABOUT = "COCO+LVIS: pictures with very many objects, their parts, and stuff."
    LAYOUT = (
        "train/images/ID.jpg, train/masks/ID.pickle, train/hannotation.pickle (val/ "
        "likewise), or lvis_v1_train.json, lvis_v1_val.json with COCO's train2017/ID.jpg "
        "and val2017/ID.jpg (one split will do); for stuff also annotations/"
        "panoptic_train2017.json and the folder panoptic_train2017/ beside it"
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
        self._segments: dict[tuple[Path, str], tuple[Path, Segments]] = {}
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
                self._find_segments(there[0], split, items[split])
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
        """The objects of LVIS and those of COCO that LVIS lacks; none too small."""
        masks = super().open_masks(listed, coco)
        large = [mask for mask in masks if np.count_nonzero(mask) >= _LEAST_AREA]
        self.faults.remark("objects of under 80 pixels", len(masks) - len(large))
        things = self._open(listed, coco, things=True)
        things = [mask for mask in things if np.count_nonzero(mask) >= _LEAST_AREA]
        known = find_known(things, large, least_iou=_KNOWN)
        doubles = find_doubles(large, least_iou=_DOUBLE)
        self.faults.remark("objects listed twice", len(doubles))
        return [mask for number, mask in enumerate(things) if number not in known] + [
            mask for number, mask in enumerate(large) if number not in doubles
        ]

    def open_stuff(
        self,
        listed: Listed,
        coco: Path,
        masks: Sequence[Bool[np.ndarray, "h w"]],
    ) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """COCO's stuff where no object is, in one layer."""
        regions = self._open(listed, coco, things=False)
        free = ~np.logical_or.reduce(masks)
        cut = (region & free for region in regions)
        kept = [region for region in cut if np.count_nonzero(region) >= _LEAST_STUFF]
        return stack_layers(kept)[0] if kept else ()

    def _open(
        self, listed: Listed, coco: Path, *, things: bool
    ) -> list[Bool[np.ndarray, "h w"]]:
        """COCO's own objects or stuff in a picture; none where it is not known."""
        if (coco, listed.id) not in self._segments:
            return []
        path, segments = self._segments[coco, listed.id]
        try:
            numbers = segments.things if things else segments.stuff
            size = listed.height, listed.width
            return open_segments(path, numbers, size=size)
        except ValueError as error:
            raise BadFile(path, error) from error

    def _find_segments(self, coco: Path, split: str, items: Sequence[Item]) -> None:
        places = [self.root / name.format(split) for name in _PANOPTIC]
        lists = [place.with_name(f"{place.name}.json") for place in places]
        listing = next((path for path in lists if path.is_file()), None)
        folder = next((place for place in places if place.is_dir()), None)
        if listing is None or folder is None:
            return
        found = read_panoptic(listing)
        for item in items:
            if item.id.isdecimal() and int(item.id) in found:
                segments = found[int(item.id)]
                self._segments[coco, item.id] = (folder / segments.file, segments)
