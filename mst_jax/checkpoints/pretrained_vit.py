"""Checkpoints of a ViT that knows no clicks: weights to start training from."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mst_jax.checkpoints.dinov2 import dinov2_table, measure_dinov2
from mst_jax.checkpoints.parameter_mapping import NameTable
from mst_jax.checkpoints.torch_vit import Measures, mae_table, measure_mae

# An array that only the one, and only the other, calls like this.
MAE, DINOV2 = "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.kernel"


class BareViT(NamedTuple):
    """Embedding of the image, positions, blocks; nothing before and nothing after.

    Attributes:
        measures: what the shapes tell.
        table: the names of its arrays.
    """

    measures: Measures
    table: NameTable


def find_bare_vit(arrays: Mapping[str, np.ndarray]) -> BareViT | None:
    """Finds the ViT that is all there is in a checkpoint; None if there is more or less.

    Raises:
        ValueError: it is one, and lacks something.
    """
    for name, measure, make_table in (
        (MAE, measure_mae, mae_table),
        (DINOV2, measure_dinov2, dinov2_table),
    ):
        if name in arrays:
            measures = measure(arrays)
            return BareViT(measures, make_table(measures.depth))
    return None
