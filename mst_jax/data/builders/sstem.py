"""ssTEM: sections of a fly's brain under the electron microscope; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import SourceItem, find_pairs
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.formats.label_maps import split_components


class Sstem(FolderDatasetBuilder):
    """Reads `stack1/raw/` and `stack1/mitochondria/`; split `test`.

    Each 4-connected region of a mask is an object, as SimpleClick counts them: two
    mitochondria that touch are one.

    Source: Gerhard et al., Segmented anisotropic ssTEM dataset of neural tissue,
    figshare 2013.
    """

    DESCRIPTION = "ssTEM: mitochondria in sections of neural tissue."
    SOURCE_LAYOUT = (
        "stack1/raw/NN.tif and stack1/mitochondria/NN.png (not black = object)"
    )
    REQUIRED_PATHS = ("stack1/raw", "stack1/mitochondria")
    ARCHIVE_FOLDERS = ("ssTEM", "groundtruth-drosophila-vnc")
    READS_SOFT_MASKS = True

    def find_items(self) -> dict[str, list[SourceItem]]:
        """List pairs of section and mask."""
        stack_folder = self.source_dir / "stack1"
        item_pairs = find_pairs(
            stack_folder / "raw", stack_folder / "mitochondria", self.errors
        )
        return {"test": item_pairs}

    def read_layers(self, mask_path: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Read each connected region as an object."""
        # Touching at a corner does not join two regions.
        return [split_components(self.open_object_mask(mask_path) > 0, diagonal=False)]
