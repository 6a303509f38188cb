"""The user's own images with a COCO file: polygons or run lengths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mst_jax.data.builders.coco_dataset import CocoDatasetBuilder
from mst_jax.data.builders.discovery import SourceItem

_SPLIT_NAMES = ("train", "val", "test")
# Words, so that neither "interval" nor "latest" names a split.
_SPLIT_WORD = re.compile(
    r"(?<![a-z])(train|training|trainval|val|valid|validation|test|testing)(?![a-z])"
)
# The user's own file, COCO's own folder, the export of annotation tools.
_FILE_PATTERNS = ("*.json", "annotations/*.json", "*/_annotations.coco.json")


class CocoJson(CocoDatasetBuilder):
    """Reads `*.json` and the images they name; splits by the names of the files.

    Files are assigned to splits by the words `train`, `val` or `test` in the name of the
    file or folder, and those of one split are joined; if no file has such a word, all are
    the split `train`. In COCO's own annotation folder only `instances_*` are read.

    Source: Lin et al., COCO, ECCV 2014.
    """

    DESCRIPTION = "Images and a COCO json."
    SOURCE_LAYOUT = (
        "FILE.json, annotations/FILE.json or SPLIT/_annotations.coco.json in COCO's "
        "form, and the images beside it, in images/ or in a folder such as train2017/"
    )
    REQUIRED_PATHS = ("|".join(_FILE_PATTERNS),)
    ANY_VARIANT_NAME = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images of each COCO file."""
        # 1. Files by splits; those of one split are joined.
        paths_by_split: dict[str, list[Path]] = {}
        for path, split in self._assign_splits(self._find_coco_files()).items():
            paths_by_split.setdefault(split, []).append(path)
        items_by_split = {}
        for split, coco_paths in paths_by_split.items():
            items_by_split[split] = self._list_joined_images(coco_paths)
            if len(coco_paths) > 1:
                file_names = ", ".join(path.name for path in coco_paths)
                self.errors.count_remark(f"split {split}: joined from {file_names}")
        return items_by_split

    def _list_joined_images(self, coco_paths: Sequence[Path]) -> list[SourceItem]:
        """List the images of one or more files, each image once."""
        # The images are beside the file, in images/, or in a folder of its name:
        # COCO's instances_train2017.json belongs to the folder train2017.
        source = self.source_dir
        items_by_path: dict[Path, SourceItem] = {}
        for path in coco_paths:
            last_word = path.stem.rsplit("_", 1)[-1]
            image_folders = (path.parent, source, source / "images", source / last_word)
            for item in self.list_images(path, image_folders):
                known_item = items_by_path.setdefault(item.image_path, item)
                if known_item is not item:
                    mask_paths = (*known_item.mask_paths, path)
                    joined_item = known_item._replace(mask_paths=mask_paths)
                    items_by_path[item.image_path] = joined_item
        return list(items_by_path.values())

    def _find_coco_files(self) -> list[Path]:
        json_paths = [
            path
            for glob_pattern in _FILE_PATTERNS
            for path in sorted(self.source_dir.glob(glob_pattern))
        ]
        # COCO publishes captions and keypoints of the same images beside them.
        instance_paths = [
            path for path in json_paths if path.stem.startswith("instances_")
        ]
        return instance_paths or json_paths

    def _assign_splits(self, coco_paths: Sequence[Path]) -> dict[Path, str]:
        """Assign each file to a split by its name and its folders.

        Without any word for a split all files are training data.
        """
        # Folders count as well: train/_annotations.coco.json.
        split_words = {
            path: _SPLIT_WORD.search(str(path.relative_to(self.source_dir)).lower())
            for path in coco_paths
        }
        unnamed_paths = [path for path, word in split_words.items() if word is None]
        if unnamed_paths and len(unnamed_paths) < len(coco_paths):
            raise ValueError(
                f"there are several COCO files, and {unnamed_paths[0]} has none of train, "
                "val and test in its name; rename it or move it elsewhere"
            )
        return {
            path: next(
                name
                for name in _SPLIT_NAMES
                if word is None or word[1].startswith(name)
            )
            for path, word in split_words.items()
        }
