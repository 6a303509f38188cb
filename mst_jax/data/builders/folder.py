"""The user's own images and label maps: `images/` and `masks/`, with sub-folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, list_files
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats.annotation_files import match_mask_name, read_annotated_layers
from mst_jax.data.formats.images import IMAGE_SUFFIXES


class Folder(FolderDatasetBuilder):
    """Reads `images/` and `masks/`; split `train`.

    A label map has 8 or 16 bits, gray or with a palette; 65535 = ignored. A JSON file of
    the same name holds the same objects with their overlaps, as the annotation
    server saves them. In a folder that it has written, images without a mask are not
    annotated yet, and are skipped.
    """

    DESCRIPTION = "Images and label maps of a folder."
    SOURCE_LAYOUT = (
        "images/STEM.jpg (or .png, .bmp, .tif, .webp) and masks/STEM.png (or .bmp, "
        ".tif), or masks/STEM_0.png, STEM_1.png, ... for several layers: label maps, "
        "0 = background, 1 and up = objects; or what serve --folder DIR/images --save "
        "DIR/masks saves"
    )
    REQUIRED_PATHS = ("images", "masks")
    ANY_VARIANT_NAME = True
    READS_SOFT_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images with their masks in the order of the layers."""
        image_paths = self._find_images()
        mask_paths, is_saved_by_server = self._find_masks(image_paths)
        source_items = []
        for name, path in image_paths.items():
            first_path = image_paths[name.removesuffix(path.suffix)]
            if name in mask_paths:
                source_items.append(SourceItem(name, path, mask_paths[name]))
            elif first_path != path:
                self.errors.add_error(path, f"has the same stem as {first_path.name}")
            elif is_saved_by_server:
                self.errors.count_skipped("images that are not annotated")
            else:
                self.errors.add_error(path, f"has no mask masks/{name}.png")
        return {"train": source_items}

    def read_layers(self, mask_path: Path) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Read a label map, or the overlapping objects of a JSON file as layers.

        Args:
            mask_path: PNG or JSON file.

        Raises:
            ValueError: The file is damaged, or the PNG beside a JSON file differs.
        """
        if mask_path.suffix.lower() != ".json":
            return super().read_layers(mask_path)
        layers = read_annotated_layers(mask_path)
        self.errors.count_skipped("images whose objects were deleted", int(not layers))
        return layers

    def _find_images(self) -> dict[str, Path]:
        """Map the name of each image to its file.

        The name is the path without suffix. Of several images that differ in the suffix
        only, the first has this name, and the others keep their suffixes, as the
        annotation server names the files of their masks.
        """
        image_paths: dict[str, Path] = {}
        for name, path in _iter_names(self.source_dir / "images"):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                formats = ", ".join(IMAGE_SUFFIXES)
                self.errors.add_error(path, f"not one of the image formats {formats}")
            elif name in image_paths:
                image_paths[name + path.suffix] = path
            else:
                image_paths[name] = path
        return image_paths

    def _find_masks(
        self, image_names: Iterable[str]
    ) -> tuple[dict[str, tuple[Path, ...]], bool]:
        """Map the name of each image to its mask files in the order of the layers.

        Returns:
            The mask files, and whether the annotation server has written the folder.
        """
        known_names = set(image_names)
        indexed_masks: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        json_paths: dict[str, Path] = {}
        first_paths: dict[str, Path] = {}
        repeated_paths: list[tuple[str, Path]] = []
        # 1. The mask files of each image with the index of their layer. PNG first: of two
        #    formats of one mask it is the more reliable.
        named_paths = sorted(
            _iter_names(self.source_dir / "masks"),
            key=lambda named_path: named_path[1].suffix.lower() != ".png",
        )
        for name, path in named_paths:
            matched = match_mask_name(name, known_names)
            is_mask = path.suffix.lower() in IMAGE_SUFFIXES
            if not is_mask and path.suffix.lower() != ".json":
                formats = ", ".join(IMAGE_SUFFIXES)
                self.errors.add_error(path, f"not one of the mask formats {formats}")
            # Two formats of one mask would become two layers.
            elif is_mask and first_paths.setdefault(name, path) != path:
                repeated_paths.append((name, path))
            elif is_mask and matched:
                image_name, layer_index = matched
                indexed_masks[image_name].append((layer_index, path))
            elif matched == (name, -1):
                json_paths[name] = path
            else:
                self.errors.add_error(path, "mask without image")
        for name, path in repeated_paths:
            if name not in json_paths:
                reason = f"has the same stem as {first_paths[name].name}"
                self.errors.add_error(path, reason)
        # 2. By number, so that layer 10 follows layer 9.
        mask_paths = {
            name: tuple(path for _, path in sorted(layer_masks))
            for name, layer_masks in indexed_masks.items()
        }
        # A JSON file has all objects of the image, also those of earlier files.
        mask_paths |= {name: (path,) for name, path in json_paths.items()}
        return mask_paths, bool(json_paths)


def _iter_names(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder with their paths without suffix, such as `a/b`."""
    for path in list_files(root, recursive=True):
        yield path.relative_to(root).with_suffix("").as_posix(), path
