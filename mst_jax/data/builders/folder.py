"""The user's own images and label maps: `images/` and `masks/`."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from mst_jax.data.builders.discovery import SourceItem, find_by_stem, list_files
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats.images import IMAGE_SUFFIXES

_LAYER_STEM = re.compile(r"(?P<stem>.+)_(?P<index>\d+)")  # photo_0, photo_1


class Folder(FolderDatasetBuilder):
    """Reads `images/` and `masks/`; split `train`.

    A label map is a PNG of 8 or 16 bits, gray or with a palette; 65535 = ignored.
    """

    DESCRIPTION = "Images and label maps of a folder."
    SOURCE_LAYOUT = (
        "images/STEM.jpg (or .png, .bmp, .tif, .webp) and masks/STEM.png, or masks/"
        "STEM_0.png, STEM_1.png, ... for several layers: label maps, 0 = background, "
        "1 and up = objects"
    )
    REQUIRED_PATHS = ("images", "masks")
    ANY_VARIANT_NAME = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images with their masks in the order of the layers."""
        image_paths = find_by_stem(
            self.source_dir / "images",
            self.errors,
            suffixes=IMAGE_SUFFIXES,
            file_type="image",
        )
        mask_paths = self._find_masks(set(image_paths))
        source_items = []
        for stem, path in image_paths.items():
            if stem in mask_paths:
                source_items.append(SourceItem(stem, path, mask_paths[stem]))
            else:
                self.errors.add_error(path, f"has no mask masks/{stem}.png")
        return {"train": source_items}

    def _find_masks(self, image_stems: set[str]) -> dict[str, tuple[Path, ...]]:
        """Map the stem of each image to its mask files in the order of the layers."""
        indexed_masks: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        # 1. The mask files of each image with the index of their layer.
        for path in list_files(self.source_dir / "masks"):
            if path.suffix.lower() != ".png" or path.is_dir():
                self.errors.add_error(path, "masks must be .png files")
                continue
            layer_match = _LAYER_STEM.fullmatch(path.stem)
            # An image may be named photo_1 itself, so the whole stem is tried first.
            if path.stem in image_stems:
                indexed_masks[path.stem].append((-1, path))
            elif layer_match and layer_match["stem"] in image_stems:
                layer_index = int(layer_match["index"])
                indexed_masks[layer_match["stem"]].append((layer_index, path))
            else:
                self.errors.add_error(path, "mask without image")
        # 2. By number, so that layer 10 follows layer 9.
        return {
            stem: tuple(path for _, path in sorted(layer_masks))
            for stem, layer_masks in indexed_masks.items()
        }
