"""A user's own pictures: `images/` and `masks/`."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from mst_jax.data.builders.discovery import Item, find_by_stem, list_files
from mst_jax.data.builders.folder_dataset import ANY, SourceSet
from mst_jax.data.formats.images import PICTURE_SUFFIXES

_LAYER = re.compile(r"(?P<stem>.+)_(?P<number>\d+)")


class Folder(SourceSet):
    """Reads `images/` and `masks/`; split `train`.

    A label map is a PNG of 8 or 16 bits, grey or with a palette; 65535 = ignored.
    """

    ABOUT = "Pictures and label maps of a folder."
    LAYOUT = (
        "images/STEM.jpg (or .png, .bmp, .tif, .webp) and masks/STEM.png, or masks/"
        "STEM_0.png, STEM_1.png, ... for several layers: label maps, 0 = background, "
        "1 and up = objects"
    )
    NEEDED = ("images", "masks")
    VARIANTS = ANY

    def find_items(self) -> dict[str, list[Item]]:
        """Pictures with their masks, layer after layer."""
        pictures = find_by_stem(
            self.root / "images",
            self.faults,
            suffixes=PICTURE_SUFFIXES,
            kind="picture",
        )
        masks = self._find_masks(set(pictures))
        items = []
        for stem, path in pictures.items():
            if stem in masks:
                items.append(Item(stem, path, masks[stem]))
            else:
                self.faults.add(path, f"has no mask masks/{stem}.png")
        return {"train": items}

    def _find_masks(self, stems: set[str]) -> dict[str, tuple[Path, ...]]:
        """Mask files by the stem of their picture, in order of the layers."""
        masks: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        for path in list_files(self.root / "masks"):
            if path.suffix.lower() != ".png" or path.is_dir():
                self.faults.add(path, "masks must be .png files")
                continue
            numbered = _LAYER.fullmatch(path.stem)
            if path.stem in stems:
                masks[path.stem].append((-1, path))
            elif numbered and numbered["stem"] in stems:
                masks[numbered["stem"]].append((int(numbered["number"]), path))
            else:
                self.faults.add(path, "mask without picture")
        return {
            stem: tuple(path for _, path in sorted(found))
            for stem, found in masks.items()
        }
