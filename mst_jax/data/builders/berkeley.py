"""Berkeley: 96 images, 100 objects; a test set."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_by_stem
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats.images import IMAGE_SUFFIXES
from mst_jax.data.formats.label_maps import read_binary_mask

_OBJECT_THRESHOLD = 127  # brighter pixels of a mask are the object
_MASK_STEM = re.compile(r"(?P<id>\d+)[a-z]?")  # 189011, 189011a, 189011b


class Berkeley(FolderDatasetBuilder):
    """Reads `images/` and `masks/`; split `test`.

    Several masks may belong to one image ID: ID, IDa, IDb, each a layer. Some copies of
    the dataset repeat the image under the mask's name; they count as one image here.

    Source: McGuinness, O'Connor, A comparative evaluation of interactive segmentation
    algorithms, Pattern Recognition 2010; images from BSDS.
    """

    DESCRIPTION = "Berkeley: 96 images, 100 objects."
    SOURCE_LAYOUT = "images/ID.jpg and masks/ID.png, IDa.png, IDb.png"
    REQUIRED_PATHS = ("images", "masks")
    ARCHIVE_FOLDERS = ("Berkeley",)

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images, each with all masks of its ID."""
        image_paths = find_by_stem(
            self.source_dir / "images",
            self.errors,
            suffixes=IMAGE_SUFFIXES,
            file_type="image",
        )
        masks_by_id = self._group_masks()
        source_items, seen_ids = [], set()
        # In sorted order, 189011 comes before its copies 189011a and 189011b.
        for stem, path in sorted(image_paths.items()):
            image_id = _image_id(stem)
            if image_id in seen_ids:
                self.errors.count_skipped("copies of an image under the name of a mask")
            elif image_id not in masks_by_id:
                self.errors.add_error(path, f"has no mask masks/{image_id}.png")
            else:
                mask_paths = tuple(masks_by_id[image_id])
                source_items.append(SourceItem(image_id, path, mask_paths))
            seen_ids.add(image_id)
        # Masks that no image used.
        for image_id in masks_by_id.keys() - seen_ids:
            for path in masks_by_id[image_id]:
                self.errors.add_error(path, "mask without image")
        return {"test": source_items}

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read one object: the pixels brighter than 127."""
        is_object = read_binary_mask(mask_path, threshold=_OBJECT_THRESHOLD)
        return [is_object.astype(np.uint16)]

    def _group_masks(self) -> dict[str, list[Path]]:
        mask_paths = find_by_stem(
            self.source_dir / "masks",
            self.errors,
            suffixes=(".png", ".bmp"),
            file_type="mask",
        )
        masks_by_id: dict[str, list[Path]] = defaultdict(list)
        for stem, path in mask_paths.items():
            masks_by_id[_image_id(stem)].append(path)
        return masks_by_id


def _image_id(stem: str) -> str:
    """Return the ID in a stem such as `189011a`, or the stem itself."""
    matched_stem = _MASK_STEM.fullmatch(stem)
    return matched_stem["id"] if matched_stem else stem
