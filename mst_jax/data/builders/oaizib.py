"""OAI-ZIB: cartilage in MRI of the knee; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.slice_dataset import SliceDatasetBuilder
from mst_jax.data.formats.nifti import volume_stem

# Folders of the volumes and of their labels, by split.
_VOLUME_FOLDERS = {
    "train": ("imagesTr", "labelsTr"),
    "test": ("imagesTs", "labelsTs"),
}
_CHANNEL_SUFFIX = "_0000"  # of the volumes, not of their labels


class Oaizib(SliceDatasetBuilder):
    """Reads `SPLIT/image/`, `SPLIT/annotations/`, or volumes; splits `train`, `test`.

    Each label of a slice is an object. SimpleClick's folders hold 150 slices, with the
    cartilage of femur and tibia as objects; volumes give every slice and every label.

    Source: Ambellan et al., Automated segmentation of knee bone and cartilage, MedIA
    2019; as volumes: OAI-ZIB-CM.
    """

    DESCRIPTION = "OAI-ZIB: slices of MRI of the knee, bones and cartilage."
    SOURCE_LAYOUT = (
        "test/image/STEM.png and test/annotations/STEM.png (train/ likewise), or "
        "volumes imagesTs/NAME_0000.nii.gz and labelsTs/NAME.nii.gz (imagesTr/ "
        "likewise)"
    )
    REQUIRED_PATHS = (
        "*/image|images*/*.nii*",
        "*/annotations|labels*/*.nii*",
    )
    ARCHIVE_FOLDERS = ("OAI-ZIB", "OAIZIB")

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of image and mask, or of volume and label volume."""
        items_by_split = {}
        for split, (volume_folder, label_folder) in _VOLUME_FOLDERS.items():
            # Folders of slices are read if they are there, else volumes.
            slice_folder = self.source_dir / split
            if (slice_folder / "image").is_dir():
                items_by_split[split] = find_pairs(
                    slice_folder / "image", slice_folder / "annotations", self.errors
                )
            elif (self.source_dir / volume_folder).is_dir():
                items_by_split[split] = self._find_volumes(volume_folder, label_folder)
        return items_by_split

    def read_slice_labels(self, mask_path: Path) -> UInt16[np.ndarray, "h w"]:
        """Read the label map of a slice."""
        return self.open_label_map(mask_path)

    def select_objects(
        self, labels: UInt16[np.ndarray, "h w"]
    ) -> UInt16[np.ndarray, "h w"]:
        """Keep every label as an object."""
        return labels

    def _find_volumes(self, volume_folder: str, label_folder: str) -> list[SourceItem]:
        # Labels that remain at the end have no volume.
        unused_labels = {
            volume_stem(path): path
            for path in (self.source_dir / label_folder).glob("*.nii*")
        }
        source_items = []
        for volume_path in sorted((self.source_dir / volume_folder).glob("*.nii*")):
            case_name = volume_stem(volume_path).removesuffix(_CHANNEL_SUFFIX)
            if case_name in unused_labels:
                mask_paths = (unused_labels.pop(case_name),)
                source_items.append(SourceItem(case_name, volume_path, mask_paths))
            else:
                reason = f"has no labels {label_folder}/{case_name}.nii.gz"
                self.errors.add_error(volume_path, reason)
        for label_path in unused_labels.values():
            self.errors.add_error(label_path, "labels without volume")
        return source_items
