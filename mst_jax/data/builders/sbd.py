"""SBD: 8,498 training and 2,857 validation images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, read_name_list
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder, contains_object
from mst_jax.data.formats import matlab
from mst_jax.data.formats.label_maps import (
    drop_labels,
    find_sparse_objects,
    to_label_map,
)

_MIN_BOX_FRACTION = 0.08  # of its bounding box that an object must fill


class Sbd(FolderDatasetBuilder):
    """Reads `img/`, `inst/`, `train.txt` and `val.txt`; splits `train`, `val`.

    Objects that fill under 8 % of their box are left out, in both splits.

    Source: Hariharan et al., Semantic contours from inverse detectors, ICCV 2011.
    """

    DESCRIPTION = "SBD: images of Pascal VOC, every object of 20 classes."
    SOURCE_LAYOUT = (
        "img/ID.jpg, inst/ID.mat and the lists train.txt, val.txt (or one of them)"
    )
    REQUIRED_PATHS = ("img", "inst", "train.txt|val.txt")
    ARCHIVE_FOLDERS = ("dataset", "benchmark_RELEASE/dataset", "SBD", "SBD/dataset")

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List the images of each split's list."""
        # Only one of the lists has to be there.
        list_paths = {
            split: self.source_dir / f"{split}.txt" for split in ("train", "val")
        }
        return {
            split: [
                SourceItem(
                    image_name,
                    self.source_dir / "img" / f"{image_name}.jpg",
                    (self.source_dir / "inst" / f"{image_name}.mat",),
                )
                for image_name in read_name_list(list_path)
            ]
            for split, list_path in list_paths.items()
            if list_path.exists()
        }

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read the instances of `GTinst`, without the sparse ones."""
        instance_struct = matlab.read_variable(mask_path, "GTinst")
        labels = to_label_map(matlab.read_field(instance_struct, "Segmentation"))
        sparse_labels = find_sparse_objects(labels, min_fill=_MIN_BOX_FRACTION)
        self.errors.count_skipped(
            "objects that fill under 8 % of their box", len(sparse_labels)
        )
        dense_labels = drop_labels(labels, sparse_labels)
        # An image whose objects are all sparse is skipped; one that never had an object
        # is an error, which an empty label map reports.
        if sparse_labels and not contains_object(dense_labels):
            return []
        return [dense_labels]
