"""COCO+LVIS: 99 thousand images, 1.5 million objects; the large training set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.builders.coco_dataset import CocoDatasetBuilder
from mst_jax.data.builders.discovery import SourceItem
from mst_jax.data.builders.ritm_dataset import (
    ANNOTATION_FILE,
    find_ritm_items,
    read_ritm_records,
)
from mst_jax.data.file_errors import BadFileError
from mst_jax.data.formats.coco import CocoImage
from mst_jax.data.formats.coco_panoptic import (
    PanopticSegments,
    decode_segments,
    read_panoptic_file,
)
from mst_jax.data.formats.instance_masks import (
    find_duplicates,
    find_known_objects,
    stack_layers,
)
from mst_jax.data.formats.ritm_pickle import RitmAnnotation

_SPLIT_NAMES = ("train", "val")
_LVIS_FILES = ("lvis_v1_{}.json", "annotations/lvis_v1_{}.json")
# Each stands for a file with the suffix .json and for a folder of PNGs.
_PANOPTIC_PATHS = ("annotations/panoptic_{}2017", "panoptic_{}2017")

# As in the published combination of COCO and LVIS.
_MIN_OBJECT_AREA = 80  # pixels
_MIN_STUFF_AREA = 501  # pixels
_DUPLICATE_IOU = 0.85  # from which an object of LVIS is one that is listed twice
_KNOWN_IOU = 0.7  # from which an object of COCO is one that LVIS has


class CocoLvis(CocoDatasetBuilder):
    """Reads the packed form of the click literature, or LVIS v1; splits `train`, `val`.

    Packed: objects of COCO and LVIS with their parts, and stuff. From LVIS v1 itself:
    its objects from 80 pixels on, each once, parts by how much of one lies in another;
    with COCO's panoptic annotations beside it also the objects that LVIS lacks, and
    stuff.

    Source: Gupta et al., LVIS, CVPR 2019; packed by Sofiiuk et al., RITM, ICIP 2022.
    """

    DESCRIPTION = "COCO+LVIS: images with very many objects, their parts, and stuff."
    SOURCE_LAYOUT = (
        "train/images/ID.jpg, train/masks/ID.pickle, train/hannotation.pickle (val/ "
        "likewise), or lvis_v1_train.json, lvis_v1_val.json with COCO's "
        "train2017/ID.jpg and val2017/ID.jpg (or only one split); for stuff also "
        "annotations/panoptic_train2017.json and the folder panoptic_train2017/ beside "
        "it"
    )
    REQUIRED_PATHS = (
        "|".join(
            path
            for split in _SPLIT_NAMES
            for path in (
                f"{split}/{ANNOTATION_FILE}",
                *(name.format(split) for name in _LVIS_FILES),
            )
        ),
    )
    ARCHIVE_FOLDERS = ("LVIS", "lvis", "COCO_LVIS")

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images of each split, from the packed form or from LVIS."""
        self._annotations: dict[Path, RitmAnnotation] = {}
        self._segments: dict[tuple[Path, str], tuple[Path, PanopticSegments]] = {}
        items_by_split = {}
        for split in _SPLIT_NAMES:
            lvis_paths = [self.source_dir / name.format(split) for name in _LVIS_FILES]
            lvis_path = next((path for path in lvis_paths if path.is_file()), None)
            # The packed form takes precedence: it holds COCO's objects as well.
            if (self.source_dir / split / ANNOTATION_FILE).is_file():
                items, annotations = find_ritm_items(self.source_dir / split)
                self._annotations |= {
                    item.image_path: annotations[item.id] for item in items
                }
                items_by_split[split] = items
            elif lvis_path is not None:
                source = self.source_dir
                image_folders = (source, source / "images", source.parent)
                items_by_split[split] = self.list_images(lvis_path, image_folders)
                self._find_segments(lvis_path, split, items_by_split[split])
        return items_by_split

    def read_records(self, item: SourceItem) -> Iterator[dict[str, Any]]:
        """Yield the record of an image, packed or listed."""
        if item.image_path in self._annotations:
            annotation = self._annotations[item.image_path]
            yield from read_ritm_records(item, annotation, self.errors)
        else:
            yield from super().read_records(item)

    def read_masks(
        self, coco_image: CocoImage, coco_path: Path, image_size: tuple[int, int]
    ) -> Sequence[Bool[np.ndarray, "h w"]]:
        """Decode the objects of LVIS and those of COCO that LVIS lacks.

        Objects below the minimum area are left out.
        """
        # 1. The objects of LVIS that are large enough.
        lvis_masks = super().read_masks(coco_image, coco_path, image_size)
        large_masks = [mask for mask in lvis_masks if _is_large_object(mask)]
        num_small = len(lvis_masks) - len(large_masks)
        self.errors.count_skipped("objects of under 80 pixels", num_small)
        # 2. COCO's things that repeat none of them.
        thing_masks = self._read_segments(
            coco_image, coco_path, image_size, is_thing=True
        )
        thing_masks = [mask for mask in thing_masks if _is_large_object(mask)]
        known_things = find_known_objects(thing_masks, large_masks, min_iou=_KNOWN_IOU)
        # 3. LVIS lists some objects twice; the last of them is kept.
        duplicate_indices = find_duplicates(large_masks, min_iou=_DUPLICATE_IOU)
        self.errors.count_skipped("objects listed twice", len(duplicate_indices))
        return [
            mask for index, mask in enumerate(thing_masks) if index not in known_things
        ] + [
            mask
            for index, mask in enumerate(large_masks)
            if index not in duplicate_indices
        ]

    def read_stuff(
        self,
        coco_image: CocoImage,
        coco_path: Path,
        masks: Sequence[Bool[np.ndarray, "h w"]],
    ) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Read COCO's stuff where no object is, in one layer."""
        stuff_masks = self._read_segments(
            coco_image, coco_path, masks[0].shape, is_thing=False
        )
        # Objects are drawn over stuff, as in the published combination.
        is_free = ~np.logical_or.reduce(masks)
        visible_masks = [mask & is_free for mask in stuff_masks]
        large_masks = [
            mask for mask in visible_masks if np.count_nonzero(mask) >= _MIN_STUFF_AREA
        ]
        return stack_layers(large_masks)[0] if large_masks else ()

    def _read_segments(
        self,
        coco_image: CocoImage,
        coco_path: Path,
        image_size: tuple[int, int],
        *,
        is_thing: bool,
    ) -> list[Bool[np.ndarray, "h w"]]:
        """Read COCO's things or stuff of an image, none if it has no annotation."""
        if (coco_path, coco_image.id) not in self._segments:
            return []
        # A bad PNG is reported by its own name, not by that of the image.
        png_path, segments = self._segments[coco_path, coco_image.id]
        try:
            segment_ids = segments.thing_ids if is_thing else segments.stuff_ids
            return decode_segments(png_path, segment_ids, size=image_size)
        except ValueError as error:
            raise BadFileError(png_path, error) from error

    def _find_segments(
        self, coco_path: Path, split: str, items: Sequence[SourceItem]
    ) -> None:
        """Find the panoptic annotations of a split's images, if they are there."""
        # Both are needed: the json lists the segments, the PNGs draw them.
        png_folders = [self.source_dir / name.format(split) for name in _PANOPTIC_PATHS]
        json_paths = [folder.with_name(f"{folder.name}.json") for folder in png_folders]
        json_path = next((path for path in json_paths if path.is_file()), None)
        png_folder = next((path for path in png_folders if path.is_dir()), None)
        if json_path is None or png_folder is None:
            return
        segments_by_id = read_panoptic_file(json_path)
        for item in items:
            # COCO names its images by number: 000000000139.
            if item.id.isdecimal() and int(item.id) in segments_by_id:
                segments = segments_by_id[int(item.id)]
                png_path = png_folder / segments.file_name
                self._segments[coco_path, item.id] = (png_path, segments)


def _is_large_object(mask: Bool[np.ndarray, "h w"]) -> bool:
    return bool(np.count_nonzero(mask) >= _MIN_OBJECT_AREA)
