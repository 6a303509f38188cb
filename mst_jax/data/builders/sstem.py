"""ssTEM: sections of a fly's brain under the electron microscope; a test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from mst_jax.data.builders.discovery import Item, find_pairs
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats.images import read_foreground
from mst_jax.data.formats.label_maps import part_regions


class Sstem(SourceSet):
    """Reads `stack1/raw/` and `stack1/mitochondria/`; split `test`.

    Each 4-connected region of a mask is an object, as SimpleClick counts them: two
    mitochondria that touch are one.

    Source: Gerhard et al., Segmented anisotropic ssTEM dataset of neural tissue,
    figshare 2013.
    """

    ABOUT = "ssTEM: mitochondria in sections of neural tissue."
    LAYOUT = "stack1/raw/NN.tif and stack1/mitochondria/NN.png (not black = object)"
    NEEDED = ("stack1/raw", "stack1/mitochondria")
    NESTED = ("ssTEM", "groundtruth-drosophila-vnc")

    def find_items(self) -> dict[str, list[Item]]:
        """Pairs of section and mask."""
        stack = self.root / "stack1"
        pairs = find_pairs(stack / "raw", stack / "mitochondria", self.faults)
        return {"test": pairs}

    def open_layers(self, mask: Path) -> list[UInt16[np.ndarray, "h w"]]:
        """Each region is an object."""
        return [part_regions(read_foreground(mask), diagonal=False)]
