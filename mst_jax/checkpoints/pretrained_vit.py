"""Checkpoints of a pretrained ViT without clicks (MAE, DINOv2): weights to start from."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mst_jax.checkpoints.dinov2 import dinov2_mapping, infer_dinov2_shape
from mst_jax.checkpoints.parameter_mapping import ParameterMapping
from mst_jax.checkpoints.torch_vit import ViTShape, infer_mae_shape, mae_mapping

# A name that occurs in every file of the one program and in none of the other.
MAE_ARRAY, DINOV2_ARRAY = "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.kernel"


class PretrainedViT(NamedTuple):
    """Patch embedding of the image, positions and blocks of a ViT.

    Attributes:
        vit_shape: Sizes of the ViT.
        mapping: Mapping of its arrays to the parameters of this package.
    """

    vit_shape: ViTShape
    mapping: ParameterMapping


def find_pretrained_vit(arrays: Mapping[str, np.ndarray]) -> PretrainedViT | None:
    """Find the ViT in a checkpoint that holds a ViT alone.

    Args:
        arrays: Name -> array of the checkpoint.

    Returns:
        The ViT, None if the checkpoint holds another model or none.

    Raises:
        ValueError: It is a ViT, and an array needed to infer its sizes is missing.
    """
    for array_name, infer_shape, make_mapping in (
        (MAE_ARRAY, infer_mae_shape, mae_mapping),
        (DINOV2_ARRAY, infer_dinov2_shape, dinov2_mapping),
    ):
        # A click model has the same names behind the prefix "backbone.".
        if array_name in arrays:
            vit_shape = infer_shape(arrays)
            return PretrainedViT(vit_shape, make_mapping(vit_shape.depth))
    return None
