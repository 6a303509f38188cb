"""A user's own pictures with a COCO json: polygons or run lengths."""

from __future__ import annotations

from pathlib import Path

from mst_jax.data.builders.coco_dataset import ListedSet
from mst_jax.data.builders.discovery import Item
from mst_jax.data.builders.folder_dataset import ANY

_SPLITS = ("train", "val", "test")


class CocoJson(ListedSet):
    """Reads `*.json` and the pictures they name; splits by the names of the files.

    Several files are told apart by `train`, `val` or `test` in the names of file or
    folder; a single one without such a word is the split `train`. In COCO's own folder of
    annotations the files `instances_*` are read.

    Source: Lin et al., COCO, ECCV 2014.
    """

    ABOUT = "Pictures and a COCO json."
    LAYOUT = (
        "FILE.json, annotations/FILE.json or SPLIT/_annotations.coco.json in COCO's "
        "form, and the pictures beside it, in images/ or in a folder such as train2017/"
    )
    NEEDED = ("*.json|annotations/*.json|*/_annotations.coco.json",)
    VARIANTS = ANY

    def find_items(self) -> dict[str, list[Item]]:
        """The pictures of each file."""
        files = self._find_files()
        items: dict[str, list[Item]] = {}
        for path in files:
            split = self._split_of(path, alone=len(files) == 1)
            if split in items:
                raise ValueError(
                    f"{path} is the second COCO file of the split {split!r}; name one "
                    "file for each of train, val and test"
                )
            named = path.stem.rsplit("_", 1)[-1]  # instances_train2017 -> train2017
            folders = (path.parent, self.root, self.root / "images", self.root / named)
            items[split] = self.list_pictures(path, folders)
        return items

    def _find_files(self) -> list[Path]:
        patterns = self.NEEDED[0].split("|")
        found = [
            path for pattern in patterns for path in sorted(self.root.glob(pattern))
        ]
        instances = [path for path in found if path.stem.startswith("instances_")]
        return instances or found

    def _split_of(self, path: Path, *, alone: bool) -> str:
        words = str(path.relative_to(self.root)).lower()
        split = next((word for word in _SPLITS if word in words), None)
        if split is None and not alone:
            raise ValueError(
                f"there are several COCO files, and {path} has none of train, val and "
                "test in its name; rename it or take it away"
            )
        return split or "train"
