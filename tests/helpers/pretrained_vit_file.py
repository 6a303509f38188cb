"""Checkpoints of a tiny ViT without clicks, as MAE and DINOv2 are published."""

from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

import mst_jax
from mst_jax.checkpoints.dinov2 import SUFFIX, dinov2_table
from mst_jax.checkpoints.parameter_mapping import write_names
from mst_jax.checkpoints.torch_vit import mae_table
from tests.helpers.torch_archive import write_pth
from tests.models.test_simpleclick import drawn_params

# One head of 64 channels, as wide as published heads.
WIDE = {
    "size": "nano",
    "crop": 24,
    "width": 64,
    "depth": 2,
    "num_heads": 1,
}


def bare(params: dict) -> dict[str, np.ndarray]:
    """The flat params of a model that belong to its ViT."""
    flat = flatten_dict(params, sep="/")
    parts = ("backbone/", "embed/image", "embed/positions")
    return {path: leaf for path, leaf in flat.items() if path.startswith(parts)}


def write_bare(path: Path, **changes: int) -> tuple[Path, dict]:
    """Writes a ViT of `WIDE`; returns its path and the params of its plain model."""
    model = WIDE | changes
    params = drawn_params(mst_jax.build("simpleclick", **model))
    if path.suffix == SUFFIX:
        np.savez(path, **write_names(bare(params), dinov2_table(model["depth"])))
        return path, params
    arrays = write_names(bare(params), mae_table(model["depth"]))
    return write_pth(path, arrays, under="model"), params
