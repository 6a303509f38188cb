"""Checkpoints of a tiny ViT without clicks, as MAE and DINOv2 are published."""

from pathlib import Path

import numpy as np

import mst_jax
from mst_jax.checkpoints.dinov2 import dinov2_mapping
from mst_jax.checkpoints.formats.weight_file import NPZ_SUFFIX
from mst_jax.checkpoints.parameter_mapping import arrays_from_params, flatten_params
from mst_jax.checkpoints.torch_vit import mae_mapping
from tests.helpers.random_models import random_params
from tests.helpers.torch_archive import write_pth

# One head of 64 channels, as wide as published heads.
WIDE_HEAD_SIZES = {
    "size": "nano",
    "crop": 24,
    "width": 64,
    "depth": 2,
    "num_heads": 1,
}


def vit_params(params: dict) -> dict[str, np.ndarray]:
    """Return the flat parameters of a model that belong to its ViT."""
    prefixes = ("backbone/", "embed/image", "embed/positions")
    flat_params = flatten_params(params)
    return {p: value for p, value in flat_params.items() if p.startswith(prefixes)}


def write_vit_file(path: Path, **changes: int) -> tuple[Path, dict]:
    """Write a ViT of `WIDE_HEAD_SIZES`; return its path and its plain model's parameters.

    Args:
        path: Path of the file; `.npz` gets the names of DINOv2, others those of MAE.
        **changes: Changed sizes.
    """
    sizes = WIDE_HEAD_SIZES | changes
    params = random_params(mst_jax.build("simpleclick", **sizes))
    if path.suffix == NPZ_SUFFIX:
        mapping = dinov2_mapping(sizes["depth"])
        np.savez(path, **arrays_from_params(vit_params(params), mapping))
        return path, params
    arrays = arrays_from_params(vit_params(params), mae_mapping(sizes["depth"]))
    return write_pth(path, arrays, under="model"), params
