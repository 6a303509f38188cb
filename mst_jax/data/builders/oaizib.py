"""OAI-ZIB: cartilage in MRI of the knee; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.slice_dataset import SliceSet
from mst_jax.data.formats.images import read_labels
from mst_jax.data.formats.nifti import volume_stem

_FOLDERS = {"train": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs")}
_CHANNEL = "_0000"  # of the volumes, not of their labels


class Oaizib(SliceSet):
    """Reads `SPLIT/image/` and `SPLIT/annotations/`, or volumes; splits `train`, `test`.

    Each label of a slice is an object. SimpleClick's folders hold 150 slices, with the
    cartilage of femur and tibia as objects; volumes give every slice and every label.

    Source: Ambellan et al., Automated segmentation of knee bone and cartilage, MedIA
    2019; as volumes: OAI-ZIB-CM.
    """

    ABOUT = "OAI-ZIB: slices of MRI of the knee, bones and cartilage."
    LAYOUT = (
        "test/image/STEM.png and test/annotations/STEM.png (train/ likewise), or volumes "
        "imagesTs/NAME_0000.nii.gz and labelsTs/NAME.nii.gz (imagesTr/ likewise)"
    )
    NEEDED = (
        "*/image|images*/*.nii*",
        "*/annotations|labels*/*.nii*",
    )
    NESTED = ("OAI-ZIB", "OAIZIB")

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask, or of volume and labels."""
        items = {}
        for split, (volumes, labels) in _FOLDERS.items():
            if (self.root / split / "image").is_dir():
                folders = (
                    self.root / split / name for name in ("image", "annotations")
                )
                items[split] = find_pairs(*folders, self.faults)
            elif (self.root / volumes).is_dir():
                items[split] = self._find_volumes(volumes, labels)
        return items

    def open_labels(self, mask: Path) -> UInt16[np.ndarray, "h w"]:
        """The label map as it is."""
        return read_labels(mask)

    def choose_objects(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        """Every label."""
        return labels

    def _find_volumes(self, volumes: str, labels: str) -> list[Item]:
        marks = {volume_stem(p): p for p in (self.root / labels).glob("*.nii*")}
        items = []
        for path in sorted((self.root / volumes).glob("*.nii*")):
            case = volume_stem(path).removesuffix(_CHANNEL)
            if case in marks:
                items.append(Item(case, path, (marks.pop(case),)))
            else:
                self.faults.add(path, f"has no labels {labels}/{case}.nii.gz")
        for path in marks.values():
            self.faults.add(path, "labels without volume")
        return items
