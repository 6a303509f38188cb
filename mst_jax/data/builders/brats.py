"""BraTS: tumours in MRI of the brain; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.slice_dataset import SliceSet
from mst_jax.data.formats.images import read_foreground
from mst_jax.data.formats.nifti import volume_stem

_MARKS, _MODALITY = "_seg", "_flair"


class Brats(SliceSet):
    """Reads `image/` and `annotation/`, or volumes `NAME_flair` and `NAME_seg`: `test`.

    The whole tumour, whatever its labels, is the one object of a slice. Of the volumes
    every slice with tumour is taken; SimpleClick's folders hold one slice of each.

    Source: Baid et al., The RSNA-ASNR-MICCAI BraTS 2021 benchmark, arXiv 2107.02314.
    """

    ABOUT = "BraTS: slices of MRI with one tumour each."
    LAYOUT = (
        "image/STEM.png and annotation/STEM.png, or volumes CASE/CASE_flair.nii.gz and "
        "CASE/CASE_seg.nii.gz (.nii will do)"
    )
    NEEDED = (f"image|**/*{_MODALITY}.nii*", f"annotation|**/*{_MARKS}.nii*")
    NESTED = ("BraTS20",)

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of picture and mask, or of volume and labels."""
        pictures, masks = self.root / "image", self.root / "annotation"
        if pictures.is_dir() and masks.is_dir():
            return {"test": find_pairs(pictures, masks, self.faults)}
        return {"test": self._find_volumes()}

    def open_labels(self, mask: Path) -> UInt16[np.ndarray, "h w"]:
        """Whatever is not black is tumour."""
        return read_foreground(mask).astype(np.uint16)

    def choose_objects(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        """All labels together."""
        return (labels > 0).astype(np.uint16)

    def _find_volumes(self) -> list[Item]:
        marks = {_case_of(path): path for path in self.root.glob(f"**/*{_MARKS}.nii*")}
        items = []
        for volume in sorted(self.root.glob(f"**/*{_MODALITY}.nii*")):
            case = _case_of(volume)
            if case in marks:
                items.append(Item(case, volume, (marks[case],)))
            else:
                self.faults.add(volume, f"has no labels {case}{_MARKS}.nii.gz")
        for case in sorted(marks.keys() - {item.id for item in items}):
            self.faults.add(marks[case], f"has no volume {case}{_MODALITY}.nii.gz")
        return items


def _case_of(path: Path) -> str:
    return volume_stem(path).removesuffix(_MARKS).removesuffix(_MODALITY)
