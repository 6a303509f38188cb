"""LoveDA: aerial images; connected regions of land cover as objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.builders.ritm_dataset import (
    ANNOTATION_FILE,
    find_ritm_items,
    read_ritm_records,
)
from mst_jax.data.example import IGNORE_LABEL
from mst_jax.data.formats.label_maps import (
    drop_labels,
    find_small_objects,
    split_components,
)
from mst_jax.data.formats.ritm_pickle import RitmAnnotation, read_size_classes

_NUM_CLASSES = 8
_NO_DATA_CLASS = 0
_OBJECT_CLASSES = range(2, 8)  # 1 = background; buildings, roads, ... farmland
_MIN_REGION_AREA = 1001  # pixels
# Bounds of the areas in pixels, the second exclusive: squares of 64, 128, 256 pixels.
# The published lists say which object is in which class, not how the classes were made.
_SIZE_CLASSES = {
    "small": (0, 64**2),
    "medium": (64**2, 128**2),
    "large": (128**2, 256**2),
    "huge": (256**2, 2**62),
}


class LoveDa(FolderDatasetBuilder):
    """Reads `Train/` and `Val/` as published, or `val/` as MST packs it.

    Splits `train`, `val`; variants `love_da/small`, `medium`, `large`, `huge` keep the
    objects of one size class. An object is an 8-connected region of one class, above
    1,000 pixels, as in MST. Where the source is packed, its list `lovedams.npy` assigns
    the objects to the size classes.

    Departure: pixels without data are ignored, where MST counts them as background.

    Source: Wang et al., LoveDA, NeurIPS 2021; sizes: Xu et al., MST, arXiv 2401.04403.
    """

    DESCRIPTION = "LoveDA: aerial images, connected regions of land cover."
    SOURCE_LAYOUT = (
        "Val/Rural/images_png/N.png, Val/Rural/masks_png/N.png (Urban and Train "
        "likewise), or MST's val/images/, val/masks/ and val/hannotation.pickle"
    )
    REQUIRED_PATHS = (
        f"[Vv]al/*/images_png|[Tt]rain/*/images_png|val/{ANNOTATION_FILE}",
    )
    ARCHIVE_FOLDERS = ("LoveDA", "IS_LoveDA")
    VARIANT_NAMES = tuple(_SIZE_CLASSES)
    ALLOW_EMPTY_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask by domain, or the images that MST packed."""
        self._annotations: dict[str, RitmAnnotation] = {}
        # MST packs only the split val.
        if (self.source_dir / "val" / ANNOTATION_FILE).is_file():
            return {"val": self._find_packed_items(self.source_dir / "val")}
        # Split and domain are folders: Val/Rural/images_png.
        items_by_split: dict[str, list[SourceItem]] = {}
        for image_folder in sorted(self.source_dir.glob("[TtVv][ra]*/*/images_png")):
            domain_folder = image_folder.parent  # Rural or Urban
            item_pairs = find_pairs(
                image_folder,
                domain_folder / "masks_png",
                self.errors,
                mask_suffixes=(".png",),
                id_prefix=f"{domain_folder.name}-",
            )
            split = domain_folder.parent.name.lower()
            items_by_split.setdefault(split, []).extend(item_pairs)
        return items_by_split

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read the regions of every class but the background."""
        class_map = self.open_label_map(mask_path)
        unknown_classes = np.setdiff1d(class_map, range(_NUM_CLASSES))
        if unknown_classes.size:
            raise ValueError(
                f"has classes {unknown_classes[:5].tolist()}, expected 0 to 7"
            )
        # Small regions are dropped before the size classes, as in MST.
        region_map = label_regions(class_map)
        small_regions = find_small_objects(region_map, min_area=_MIN_REGION_AREA)
        self.errors.count_skipped("regions of at most 1,000 pixels", len(small_regions))
        return [self._keep_size_class(drop_labels(region_map, small_regions))]

    def read_records(self, item: SourceItem) -> Iterator[dict[str, Any]]:
        """Yield the record of an image, packed or not."""
        if item.id in self._annotations:
            annotation = self._annotations[item.id]
            yield from read_ritm_records(item, annotation, self.errors)
        else:
            yield from super().read_records(item)

    @property
    def _size_class(self) -> str | None:
        """Name of the variant, None if objects of all sizes are kept."""
        return self.builder_config.name if self.builder_config else None

    def _keep_size_class(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        if not self._size_class:
            return labels
        min_area, area_bound = _SIZE_CLASSES[self._size_class]
        too_small = find_small_objects(labels, min_area=min_area)
        large_enough = drop_labels(labels, too_small)
        fitting_labels = find_small_objects(large_enough, min_area=area_bound)
        # Everything else that is an object is too large.
        kept_labels = [0, *fitting_labels, IGNORE_LABEL]
        too_large = np.setdiff1d(large_enough, kept_labels).tolist()
        return drop_labels(large_enough, too_large)

    def _find_packed_items(self, split_folder: Path) -> list[SourceItem]:
        source_items, self._annotations = find_ritm_items(split_folder)
        if not self._size_class:
            return source_items
        size_classes = read_size_classes(split_folder / "lovedams.npy")
        if self._size_class not in size_classes:
            raise ValueError(
                f"lovedams.npy has {list(size_classes)}, no {self._size_class!r}"
            )
        # The list refers to images by their position in hannotation.pickle.
        objects_by_image = size_classes[self._size_class]
        selected_items = []
        for index, item in enumerate(source_items):
            if objects_by_image.get(index):
                selected_items.append(item)
                annotation = self._annotations[item.id]
                self._annotations[item.id] = annotation._replace(
                    selected=objects_by_image[index]
                )
        return selected_items


def label_regions(class_map: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Label the connected regions of all object classes with consecutive numbers.

    Args:
        class_map: [h w] classes, 0 = no data, 1 = background, 2 to 7 land cover.

    Returns:
        [h w] label map; pixels without data are ignored.

    Raises:
        ValueError: There are more regions than labels.
    """
    labels = np.zeros(class_map.shape, np.uint16)
    for object_class in _OBJECT_CLASSES:
        class_regions = split_components(class_map == object_class, diagonal=True)
        num_labeled = int(labels.max())
        if num_labeled + int(class_regions.max()) >= IGNORE_LABEL:
            raise ValueError(f"has more than {IGNORE_LABEL - 1} regions")
        # Regions of this class continue the numbers of the classes before.
        labels = np.where(
            class_regions > 0, class_regions + np.uint16(num_labeled), labels
        )
    labels[class_map == _NO_DATA_CLASS] = IGNORE_LABEL
    return labels
