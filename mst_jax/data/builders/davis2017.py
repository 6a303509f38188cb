"""DAVIS-2017: frames of 90 videos, each object with its own label."""

from __future__ import annotations

from mst_jax.data.builders.discovery import SourceItem, find_pairs, read_name_list
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder

_RESOLUTION_NAMES = ("480p", "Full-Resolution")  # the first that is there is read
_LIST_FOLDER = "ImageSets/2017"


class Davis2017(FolderDatasetBuilder):
    """Reads `JPEGImages/`, `Annotations/` and the lists; splits `train`, `val`.

    Frames in which every object is hidden are left out.

    Source: Pont-Tuset et al., The 2017 DAVIS challenge, arXiv 1704.00675.
    """

    DESCRIPTION = "DAVIS-2017: video frames with one or more objects each."
    SOURCE_LAYOUT = (
        "JPEGImages/480p/SEQUENCE/NNNNN.jpg, Annotations/480p/SEQUENCE/NNNNN.png and "
        "ImageSets/2017/train.txt, val.txt (or one of them); Full-Resolution may "
        "replace 480p"
    )
    REQUIRED_PATHS = (
        "|".join(f"JPEGImages/{resolution}" for resolution in _RESOLUTION_NAMES),
        "Annotations",
        f"{_LIST_FOLDER}/train.txt|{_LIST_FOLDER}/val.txt",
    )
    ARCHIVE_FOLDERS = ("DAVIS", "DAVIS2017", "DAVIS2017/DAVIS")
    ALLOW_EMPTY_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the frames of each split's sequences."""
        list_paths = {
            split: self.source_dir / _LIST_FOLDER / f"{split}.txt"
            for split in ("train", "val")
        }
        return {
            split: [
                item
                for sequence_name in read_name_list(list_path)
                for item in self._find_frames(sequence_name)
            ]
            for split, list_path in list_paths.items()
            if list_path.exists()
        }

    def _find_frames(self, sequence_name: str) -> list[SourceItem]:
        image_root = self.source_dir / "JPEGImages"
        resolution = next(
            name for name in _RESOLUTION_NAMES if (image_root / name).is_dir()
        )
        image_folder = image_root / resolution / sequence_name
        mask_folder = self.source_dir / "Annotations" / resolution / sequence_name
        # A sequence without a folder is one error, not one for each frame.
        for folder in (image_folder, mask_folder):
            if not folder.is_dir():
                self.errors.add_error(folder, "is missing")
                return []
        # The prefix keeps the ids unique: frame numbers repeat in every sequence.
        return find_pairs(
            image_folder, mask_folder, self.errors, id_prefix=f"{sequence_name}-"
        )
