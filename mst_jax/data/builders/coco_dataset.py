"""Base class of the datasets whose images and objects are listed in COCO files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.builders.discovery import SourceItem
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats.coco import CocoImage, decode_objects, read_coco_images
from mst_jax.data.formats.images import read_image
from mst_jax.data.formats.instance_masks import (
    find_parents,
    list_part_rows,
    stack_layers,
)
from mst_jax.data.record import encode_record


class _ListedImage(NamedTuple):
    """An image and the COCO file that lists it."""

    coco_image: CocoImage
    coco_path: Path


class CocoDatasetBuilder(FolderDatasetBuilder, skip_registration=True):
    """Builder of a dataset whose images and objects are listed in COCO files.

    Objects that overlap are in different layers; an object of which more than 80 % lies
    in another is a part of it.
    """

    def __init__(self, **builder_options: Any) -> None:
        """Find the source folder; see `FolderDatasetBuilder`."""
        self._listed_images: dict[Path, _ListedImage] = {}
        super().__init__(**builder_options)

    def list_images(
        self, coco_path: Path, image_folders: Sequence[Path]
    ) -> list[SourceItem]:
        """List the images of a COCO file.

        Args:
            coco_path: The COCO file.
            image_folders: Folders to search; each image is taken from the first that
                has it.

        Raises:
            ValueError: The file is not of COCO's form.
        """
        items_by_id: dict[str, SourceItem] = {}
        for coco_image in read_coco_images(coco_path):
            # The same image may be in a folder of its split and in a common one.
            candidate_paths = (
                folder / coco_image.file_name for folder in image_folders
            )
            image_path = next(
                (path for path in candidate_paths if path.is_file()), None
            )
            entry_name = f"{coco_path.name}, image {coco_image.file_name}"
            # Errors name the entry: there may be no file to name.
            if image_path is None:
                self.errors.add_error(entry_name, "is missing")
            elif coco_image.id in items_by_id:
                self.errors.add_error(entry_name, "is listed twice")
            else:
                item = SourceItem(coco_image.id, image_path, (coco_path,))
                items_by_id[coco_image.id] = item
                self._listed_images[image_path] = _ListedImage(coco_image, coco_path)
        return list(items_by_id.values())

    def read_masks(
        self, coco_image: CocoImage, coco_path: Path
    ) -> Sequence[Bool[np.ndarray, "h w"]]:
        """Decode the objects of an image.

        Args:
            coco_image: The entry of the image in the COCO file.
            coco_path: The COCO file.
        """
        return decode_objects(coco_image, coco_path, self.errors)

    def read_stuff(
        self,
        coco_image: CocoImage,
        coco_path: Path,
        masks: Sequence[Bool[np.ndarray, "h w"]],
    ) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Read label maps of regions that are not objects; the default is none.

        Args:
            coco_image: The entry of the image in the COCO file.
            coco_path: The COCO file.
            masks: [h w] masks of the objects in the image.
        """
        return ()

    def read_records(self, item: SourceItem) -> Iterator[dict[str, Any]]:
        """Yield the record of an image, or none if it has no object."""
        coco_image, coco_path = self._listed_images[item.image_path]
        encoded_image = read_image(item.image_path)
        # 1. Masks are drawn at the listed size, so a wrong one would shift them.
        image_size = encoded_image.height, encoded_image.width
        if image_size != (coco_image.height, coco_image.width):
            raise ValueError(
                f"is {encoded_image.height}x{encoded_image.width}, {coco_path.name} "
                f"lists {coco_image.height}x{coco_image.width} (height x width)"
            )
        # 2. The objects; an image without any is skipped before it is stacked.
        masks = self.read_masks(coco_image, coco_path)
        if not masks:
            self.errors.count_skipped("images without an object")
            return
        # 3. Layers keep overlapping objects apart; part rows refer to their labels.
        layers, object_ids = stack_layers(masks)
        part_rows = list_part_rows(find_parents(masks), object_ids)
        stuff_layers = self.read_stuff(coco_image, coco_path, masks)
        yield encode_record(
            item.id, encoded_image.data, layers, parts=part_rows, stuff=stuff_layers
        )
