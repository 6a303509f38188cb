"""Berkeley: 96 pictures, 100 objects; a test set."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_by_stem
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats.images import PICTURE_SUFFIXES, read_foreground

_THRESHOLD = 127
_NUMBERED = re.compile(r"(?P<id>\d+)[a-z]?")  # 189011, 189011a, 189011b


class Berkeley(SourceSet):
    """Reads `images/` and `masks/`; split `test`.

    Several masks may belong to one picture ID: ID, IDa, IDb, each a layer. Some copies of
    the set repeat the picture under the mask's name; those are one picture here too.

    Source: McGuinness, O'Connor, A comparative evaluation of interactive segmentation
    algorithms, Pattern Recognition 2010; pictures from BSDS.
    """

    ABOUT = "Berkeley: 96 pictures, 100 objects."
    LAYOUT = "images/ID.jpg and masks/ID.png, IDa.png, IDb.png"
    NEEDED = ("images", "masks")
    NESTED = ("Berkeley",)

    def find_items(self) -> dict[str, list[Item]]:
        """Pictures with all masks of their number."""
        pictures = find_by_stem(
            self.root / "images", self.faults, suffixes=PICTURE_SUFFIXES, kind="picture"
        )
        masks = find_by_stem(
            self.root / "masks", self.faults, suffixes=(".png", ".bmp"), kind="mask"
        )
        of_picture: dict[str, list[Path]] = defaultdict(list)
        for stem, path in masks.items():
            of_picture[_number(stem)].append(path)
        items, seen = [], set()
        for stem, path in sorted(pictures.items()):
            number = _number(stem)
            if number in seen:
                self.faults.remark("copies of a picture under the name of a mask")
            elif number not in of_picture:
                self.faults.add(path, f"has no mask masks/{number}.png")
            else:
                items.append(Item(number, path, tuple(of_picture[number])))
            seen.add(number)
        for number in of_picture.keys() - seen:
            for path in of_picture[number]:
                self.faults.add(path, "mask without picture")
        return {"test": items}

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Bright is object."""
        return [read_foreground(mask, above=_THRESHOLD).astype(np.uint16)]


def _number(stem: str) -> str:
    numbered = _NUMBERED.fullmatch(stem)
    return numbered["id"] if numbered else stem
