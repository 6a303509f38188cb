"""SBD: 8,498 pictures to train with, 2,857 to test with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, read_names
from mst_jax.data.builders.folder_dataset import SourceSet, has_object
from mst_jax.data.formats import matlab
from mst_jax.data.formats.images import as_labels
from mst_jax.data.formats.label_maps import drop_labels, find_sparse

_LEAST_SHARE = 0.08


class Sbd(SourceSet):
    """Reads `img/`, `inst/` and the lists `train.txt`, `val.txt`: splits `train`, `val`.

    Objects that fill under 8 % of their box are left out, in both splits.

    Source: Hariharan et al., Semantic contours from inverse detectors, ICCV 2011.
    """

    ABOUT = "SBD: pictures of Pascal VOC, every object of 20 classes."
    LAYOUT = "img/ID.jpg, inst/ID.mat and the lists train.txt, val.txt (or one of them)"
    NEEDED = ("img", "inst", "train.txt|val.txt")
    NESTED = ("dataset", "benchmark_RELEASE/dataset", "SBD", "SBD/dataset")

    def find_items(self) -> dict[str, list[Item]]:
        """The pictures of each list."""
        return {
            split: [
                Item(
                    name,
                    self.root / "img" / f"{name}.jpg",
                    (self.root / "inst" / f"{name}.mat",),
                )
                for name in read_names(self.root / f"{split}.txt")
            ]
            for split in ("train", "val")
            if (self.root / f"{split}.txt").exists()
        }

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """The instances of `GTinst`, without the sparse ones."""
        struct = matlab.read_variable(mask, "GTinst")
        labels = as_labels(matlab.read_field(struct, "Segmentation"))
        sparse = find_sparse(labels, least_share=_LEAST_SHARE)
        self.faults.remark("objects that fill under 8 % of their box", len(sparse))
        kept = drop_labels(labels, sparse)
        return [] if sparse and not has_object(kept) else [kept]
