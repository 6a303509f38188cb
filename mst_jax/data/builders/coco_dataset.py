"""Base class of the datasets whose images and objects are listed in COCO files."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.builders.discovery import SourceItem
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats.coco import (
    CocoImage,
    decode_objects,
    list_name_variants,
    read_coco_images,
)
from mst_jax.data.formats.instance_masks import (
    find_parents,
    list_part_rows,
    stack_layers,
)
from mst_jax.data.record import encode_record


class CocoDatasetBuilder(FolderDatasetBuilder, skip_registration=True):
    """Builder of a dataset whose images and objects are listed in COCO files.

    Objects that overlap are in different layers; an object of which more than 80 % lies
    in another is a part of it.
    """

    def __init__(self, **builder_options: Any) -> None:
        """Find the source folder; see `FolderDatasetBuilder`."""
        # By image file and COCO file: several COCO files may list an image.
        self._listed_images: dict[tuple[Path, Path], CocoImage] = {}
        super().__init__(**builder_options)

    def list_images(
        self, coco_path: Path, image_folders: Sequence[Path]
    ) -> list[SourceItem]:
        """List the images of a COCO file.

        Args:
            coco_path: The COCO file.
            image_folders: Folders to search; each image is taken from the first that
                has it.

        An image that is nowhere under its name is found by the end of its path, if only
        one file of the source has it.

        Raises:
            ValueError: The file is not of COCO's form.
        """
        items_by_id: dict[str, SourceItem] = {}
        for coco_image in read_coco_images(coco_path, self.errors):
            entry_name = f"{coco_path.name}, image {coco_image.file_name}"
            # Errors name the entry: there may be no file to name.
            with self.errors.collect_errors(entry_name):
                image_path = self._find_image(coco_image.file_name, image_folders)
                image_id = coco_image.id
                if not image_path.as_posix().endswith(coco_image.file_name):
                    relative_path = image_path.relative_to(self.source_dir)
                    image_id = "-".join(relative_path.with_suffix("").parts)
                if (image_path, coco_path) in self._listed_images:
                    raise ValueError("is listed twice")
                item = SourceItem(image_id, image_path, (coco_path,))
                items_by_id.setdefault(image_id, item)
                if items_by_id[image_id] is not item:
                    raise ValueError("is listed twice")
                self._listed_images[image_path, coco_path] = coco_image
        return list(items_by_id.values())

    def _find_image(self, file_name: str, image_folders: Sequence[Path]) -> Path:
        """Return the file of an image; ValueError without one."""
        # 1. Under its name. The same image may be in a folder of its split and in a
        #    common one.
        name_variants = list(list_name_variants(file_name))
        for name in name_variants:
            for folder in image_folders:
                if (folder / name).is_file():
                    return folder / name
        # 2. By the longest end of the path that any file of the source has.
        for name in name_variants:
            name_parts = [part.casefold() for part in name.split("/")]
            found_paths = self._paths_by_name.get(name_parts[-1], [])
            if not found_paths:
                continue
            end_lengths = [_common_end_length(name_parts, path) for path in found_paths]
            best_paths = [
                path
                for path, end_length in zip(found_paths, end_lengths, strict=True)
                if end_length == max(end_lengths)
            ]
            if len(best_paths) == 1:
                return best_paths[0]
            raise ValueError(
                f"is missing, and several files have its name: {best_paths[0]}, "
                f"{best_paths[1]}"
            )
        raise ValueError("is missing")

    @functools.cached_property
    def _paths_by_name(self) -> dict[str, list[Path]]:
        """All files of the source by their names in lower case."""
        paths_by_name: dict[str, list[Path]] = {}
        for path in sorted(self.source_dir.rglob("*")):
            if path.is_file():
                paths_by_name.setdefault(path.name.casefold(), []).append(path)
        return paths_by_name

    def read_masks(
        self, coco_image: CocoImage, coco_path: Path, image_size: tuple[int, int]
    ) -> Sequence[Bool[np.ndarray, "h w"]]:
        """Decode the objects of an image.

        Args:
            coco_image: The entry of the image in the COCO file.
            coco_path: The COCO file.
            image_size: Height and width of the image in pixels.
        """
        return decode_objects(coco_image, coco_path, self.errors, image_size=image_size)

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
        encoded_image = self.open_image(item.image_path)
        image_size = encoded_image.height, encoded_image.width
        masks: list[Bool[np.ndarray, "h w"]] = []
        for coco_path in item.mask_paths:
            coco_image = self._listed_images[item.image_path, coco_path]
            # 1. Masks are drawn at the listed size, so a wrong one would shift them.
            listed_size = (
                coco_image.height or encoded_image.height,
                coco_image.width or encoded_image.width,
            )
            if image_size != listed_size:
                raise ValueError(
                    f"is {encoded_image.height}x{encoded_image.width}, {coco_path.name} "
                    f"lists {listed_size[0]}x{listed_size[1]} (height x width)"
                )
            masks += self.read_masks(coco_image, coco_path, image_size)
        # 2. The objects; an image without any is skipped before it is stacked.
        if not masks:
            self.errors.count_skipped("images without an object")
            return
        # 3. Layers keep overlapping objects apart; part rows refer to their labels.
        layers, object_ids = stack_layers(masks)
        part_rows = list_part_rows(find_parents(masks), object_ids)
        coco_path = item.mask_paths[0]
        coco_image = self._listed_images[item.image_path, coco_path]
        stuff_layers = self.read_stuff(coco_image, coco_path, masks)
        yield encode_record(
            item.id, encoded_image.data, layers, parts=part_rows, stuff=stuff_layers
        )


def _common_end_length(name_parts: Sequence[str], path: Path) -> int:
    """Return how many parts at the end of a name and of a path are the same."""
    path_parts = [part.casefold() for part in path.parts]
    end_length = 0
    for name_part, path_part in zip(
        reversed(name_parts), reversed(path_parts), strict=False
    ):
        if name_part != path_part:
            break
        end_length += 1
    return end_length
