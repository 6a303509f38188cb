"""BraTS: tumors in MRI of the brain; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.slice_dataset import SliceDatasetBuilder
from mst_jax.data.formats.nifti import volume_stem

# Ends of the volumes' names; of the modalities only FLAIR is read.
_LABEL_SUFFIX, _MODALITY_SUFFIX = "_seg", "_flair"


class Brats(SliceDatasetBuilder):
    """Reads `image/` and `annotation/`, or volumes `NAME_flair` and `NAME_seg`: `test`.

    The whole tumor, whatever its labels, is the one object of a slice. Of volumes,
    every slice with a tumor is read; SimpleClick's folders hold one slice of each.

    Source: Baid et al., The RSNA-ASNR-MICCAI BraTS 2021 benchmark, arXiv 2107.02314.
    """

    DESCRIPTION = "BraTS: slices of MRI with one tumor each."
    SOURCE_LAYOUT = (
        "image/STEM.png and annotation/STEM.png, or volumes CASE/CASE_flair.nii.gz and "
        "CASE/CASE_seg.nii.gz (or .nii)"
    )
    REQUIRED_PATHS = (
        f"image|**/*{_MODALITY_SUFFIX}.nii*",
        f"annotation|**/*{_LABEL_SUFFIX}.nii*",
    )
    ARCHIVE_FOLDERS = ("BraTS20",)
    READS_SOFT_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask, or of volume and label volume."""
        # Folders of slices are read if they are there, else volumes.
        image_folder = self.source_dir / "image"
        mask_folder = self.source_dir / "annotation"
        if image_folder.is_dir() and mask_folder.is_dir():
            return {"test": find_pairs(image_folder, mask_folder, self.errors)}
        return {"test": self._find_volumes()}

    def read_slice_labels(self, mask_path: Path) -> UInt16[np.ndarray, "h w"]:
        """Read one object: every pixel that is not black is tumor."""
        return self.open_object_mask(mask_path)

    def select_objects(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        """Merge all labels into one object."""
        return (labels > 0).astype(np.uint16)

    def _find_volumes(self) -> list[SourceItem]:
        # Image and label volume of a case differ only in the end of their names.
        label_paths = {
            _case_name(path): path
            for path in self.source_dir.glob(f"**/*{_LABEL_SUFFIX}.nii*")
        }
        source_items = []
        volume_paths = self.source_dir.glob(f"**/*{_MODALITY_SUFFIX}.nii*")
        for volume_path in sorted(volume_paths):
            case_name = _case_name(volume_path)
            if case_name in label_paths:
                mask_paths = (label_paths[case_name],)
                source_items.append(SourceItem(case_name, volume_path, mask_paths))
            else:
                reason = f"has no labels {case_name}{_LABEL_SUFFIX}.nii.gz"
                self.errors.add_error(volume_path, reason)
        # Label volumes that no image volume used.
        for case_name in sorted(
            label_paths.keys() - {item.id for item in source_items}
        ):
            reason = f"has no volume {case_name}{_MODALITY_SUFFIX}.nii.gz"
            self.errors.add_error(label_paths[case_name], reason)
        return source_items


def _case_name(path: Path) -> str:
    return volume_stem(path).removesuffix(_LABEL_SUFFIX).removesuffix(_MODALITY_SUFFIX)
