"""LoveDA: aerial pictures; connected regions of land cover as objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.example import IGNORED
from mst_jax.data.formats.images import read_labels
from mst_jax.data.formats.label_maps import drop_labels, find_small, part_regions
from mst_jax.data.formats.ritm_pickle import (
    Note,
    find_packed,
    read_packed,
    read_size_classes,
)

_NO_DATA, _OBJECTS = 0, range(2, 8)  # 1 = background; buildings, roads, ... farmland
_LEAST_AREA = 1001
# Squares of 64, 128 and 256 pixels; the published lists say which object is in which
# class, not how the classes were made.
_SIZES = {
    "small": (0, 64**2),
    "medium": (64**2, 128**2),
    "large": (128**2, 256**2),
    "huge": (256**2, 2**62),
}
_PACKED = "hannotation.pickle"


class LoveDa(SourceSet):
    """Reads `Train/` and `Val/` as published, or `val/` as MST packs it.

    Splits `train`, `val`; variants `love_da/small`, `medium`, `large`, `huge` keep the
    objects of one size class. An object is an 8-connected region of one class, above
    1,000 pixels, as MST has it. Where the source is packed, its list `lovedams.npy`
    says which object is of which class.

    Departure: pixels without data are ignored, where MST counts them as background.

    Source: Wang et al., LoveDA, NeurIPS 2021; sizes: Xu et al., MST, arXiv 2401.04403.
    """

    ABOUT = "LoveDA: aerial pictures, connected regions of land cover."
    LAYOUT = (
        "Val/Rural/images_png/N.png, Val/Rural/masks_png/N.png (Urban and Train "
        "likewise), or MST's val/images/, val/masks/ and val/hannotation.pickle"
    )
    NEEDED = (f"[Vv]al/*/images_png|[Tt]rain/*/images_png|val/{_PACKED}",)
    NESTED = ("LoveDA", "IS_LoveDA")
    VARIANTS = tuple(_SIZES)
    MAY_BE_EMPTY = True

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask, domain by domain; or what MST's list names."""
        self._notes: dict[str, Note] = {}
        if (self.root / "val" / _PACKED).is_file():
            return {"val": self._find_packed(self.root / "val")}
        items: dict[str, list[Item]] = {}
        for pictures in sorted(self.root.glob("[TtVv][ra]*/*/images_png")):
            domain = pictures.parent
            pairs = find_pairs(
                pictures,
                domain / "masks_png",
                self.faults,
                mask_suffixes=(".png",),
                prefix=f"{domain.name}-",
            )
            items.setdefault(domain.parent.name.lower(), []).extend(pairs)
        return items

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """The regions of every class but the background."""
        classes = read_labels(mask)
        strange = np.setdiff1d(classes, range(8))
        if strange.size:
            raise ValueError(f"has classes {strange[:5].tolist()}, expected 0 to 7")
        regions = part_classes(classes)
        small = find_small(regions, least_area=_LEAST_AREA)
        self.faults.remark("regions of at most 1,000 pixels", len(small))
        return [self._of_size(drop_labels(regions, small))]

    def read(self, item: Item) -> Iterator[dict[str, object]]:
        """Yields the record of a picture, packed or not."""
        if item.id in self._notes:
            yield from read_packed(item, self._notes[item.id], self.faults)
        else:
            yield from super().read(item)

    @property
    def _size(self) -> str | None:
        return self.builder_config and self.builder_config.name

    def _of_size(self, labels: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
        if not self._size:
            return labels
        least, beyond = _SIZES[self._size]
        below = find_small(labels, least_area=least)
        kept = drop_labels(labels, below)
        fitting = find_small(kept, least_area=beyond)
        return drop_labels(kept, np.setdiff1d(kept, [0, *fitting, IGNORED]).tolist())

    def _find_packed(self, folder: Path) -> list[Item]:
        items, self._notes = find_packed(folder)
        if not self._size:
            return items
        classes = read_size_classes(folder / "lovedams.npy")
        if self._size not in classes:
            raise ValueError(f"lovedams.npy has {list(classes)}, no {self._size!r}")
        chosen = classes[self._size]
        kept = []
        for number, item in enumerate(items):
            if chosen.get(number):
                kept.append(item)
                note = self._notes[item.id]
                self._notes[item.id] = note._replace(wanted=chosen[number])
        return kept


def part_classes(classes: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Numbers the connected regions of all classes; no data becomes ignored."""
    labels = np.zeros(classes.shape, np.uint16)
    for kind in _OBJECTS:
        regions = part_regions(classes == kind, diagonal=True)
        most = int(labels.max())
        if most + int(regions.max()) >= IGNORED:
            raise ValueError(f"has more than {IGNORED - 1} regions")
        labels = np.where(regions > 0, regions + np.uint16(most), labels)
    labels[classes == _NO_DATA] = IGNORED
    return labels
