"""DAVIS-2017: frames of 90 videos, each object on its own."""

from __future__ import annotations

from mst_jax.data.builders.discovery import Item, find_pairs, read_names
from mst_jax.data.builders.folder_dataset import SourceSet

_SIZES = ("480p", "Full-Resolution")
_LISTS = "ImageSets/2017"


class Davis2017(SourceSet):
    """Reads `JPEGImages/`, `Annotations/` and the lists; splits `train`, `val`.

    Frames in which every object is hidden are left out.

    Source: Pont-Tuset et al., The 2017 DAVIS challenge, arXiv 1704.00675.
    """

    ABOUT = "DAVIS-2017: video frames with one or more objects each."
    LAYOUT = (
        "JPEGImages/480p/SEQUENCE/NNNNN.jpg, Annotations/480p/SEQUENCE/NNNNN.png and "
        "ImageSets/2017/train.txt, val.txt (or one of them); Full-Resolution for 480p "
        "will do"
    )
    NEEDED = (
        "|".join(f"JPEGImages/{size}" for size in _SIZES),
        "Annotations",
        f"{_LISTS}/train.txt|{_LISTS}/val.txt",
    )
    NESTED = ("DAVIS", "DAVIS2017", "DAVIS2017/DAVIS")
    MAY_BE_EMPTY = True

    def find_items(self) -> dict[str, list[Item]]:
        """The frames of each list's sequences."""
        return {
            split: [
                item
                for sequence in read_names(self.root / _LISTS / f"{split}.txt")
                for item in self._find_frames(sequence)
            ]
            for split in ("train", "val")
            if (self.root / _LISTS / f"{split}.txt").exists()
        }

    def _find_frames(self, sequence: str) -> list[Item]:
        size = next(s for s in _SIZES if (self.root / "JPEGImages" / s).is_dir())
        folders = [self.root / top / size for top in ("JPEGImages", "Annotations")]
        pictures, masks = (folder / sequence for folder in folders)
        for folder in (pictures, masks):
            if not folder.is_dir():
                self.faults.add(folder, "is missing")
                return []
        return find_pairs(pictures, masks, self.faults, prefix=f"{sequence}-")
