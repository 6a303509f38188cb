"""The user's own images with a COCO file: polygons or run lengths."""

from __future__ import annotations

from pathlib import Path

from mst_jax.data.builders.coco_dataset import CocoDatasetBuilder
from mst_jax.data.builders.discovery import SourceItem

_SPLIT_NAMES = ("train", "val", "test")
# The user's own file, COCO's own folder, the export of annotation tools.
_FILE_PATTERNS = ("*.json", "annotations/*.json", "*/_annotations.coco.json")


class CocoJson(CocoDatasetBuilder):
    """Reads `*.json` and the images they name; splits by the names of the files.

    Several files are assigned to splits by `train`, `val` or `test` in the name of the
    file or folder; a single file without such a word is the split `train`. In COCO's
    own annotation folder only the files `instances_*` are read.

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
        # 1. Each file is one split.
        coco_paths = self._find_coco_files()
        items_by_split: dict[str, list[SourceItem]] = {}
        for path in coco_paths:
            split = self._split_name(path, is_only_file=len(coco_paths) == 1)
            if split in items_by_split:
                raise ValueError(
                    f"{path} is the second COCO file of the split {split!r}; name one "
                    "file for each of train, val and test"
                )
            # 2. The images are beside the file, in images/, or in a folder of its name:
            # COCO's instances_train2017.json belongs to the folder train2017.
            last_word = path.stem.rsplit("_", 1)[-1]
            source = self.source_dir
            image_folders = (path.parent, source, source / "images", source / last_word)
            items_by_split[split] = self.list_images(path, image_folders)
        return items_by_split

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

    def _split_name(self, path: Path, *, is_only_file: bool) -> str:
        # Folders count as well: train/_annotations.coco.json.
        relative_path = str(path.relative_to(self.source_dir)).lower()
        split = next((name for name in _SPLIT_NAMES if name in relative_path), None)
        if split is None and not is_only_file:
            raise ValueError(
                f"there are several COCO files, and {path} has none of train, val and "
                "test in its name; rename it or move it elsewhere"
            )
        return split or "train"
