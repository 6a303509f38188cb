"""Parameters to start training from: another model's, as far as they fit."""

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mst_jax.checkpoints import dinov2
from mst_jax.checkpoints.torch_file import TorchFile, is_torch_file, read_torch_file
from mst_jax.checkpoints.torch_names import Account, NameTable, read_names
from mst_jax.checkpoints.torch_vit import mae_table
from mst_jax.geometry.resize import resize_positions_bicubic
from mst_jax.layers.patchify import resize_kernel
from mst_jax.models.load import load, load_published
from mst_jax.models.published import count_blocks, count_heads, is_bare_backbone

IMAGE, POSITIONS = "embed/image/kernel", "embed/positions"
PATCH_KERNELS = (IMAGE, "embed/hints/kernel")
QUERY = "backbone/block0/attention/query/kernel"

Flat = Mapping[str, jax.Array | np.ndarray]


class Form(NamedTuple):
    """What two backbones must have in common."""

    width: int
    depth: int
    num_heads: int

    def __str__(self) -> str:
        return f"width {self.width}, {self.depth} blocks, {self.num_heads} heads"


def start_from(params: dict, path: str | os.PathLike) -> tuple[dict, Account]:
    """Puts a checkpoint's arrays in the place of fresh parameters.

    What both have is taken from the checkpoint; positions of another grid are resized
    bicubically, patch kernels of another size by the pseudo-inverse. The rest stays
    fresh: all but image's embedding and blocks after MAE or DINOv2, token selection after
    SimpleClick.

    Args:
        params: fresh parameters of any model.
        path: `.pth` or `.safetensors` of MAE's encoder, SimpleClick or MST; the `.npz` of
            DINOv2's ViT-S/14; or whatever `load` takes.

    Returns:
        The parameters, and the account: `fresh` are those that were left as they were.

    Raises:
        ValueError: the checkpoint cannot be read, or does not fit.
    """
    flat = flatten_dict(params, sep="/")
    path = Path(path)
    source, account = _read_source(path, flat)
    started, changed = {}, []
    for name, leaf in flat.items():
        value = source.get(name, leaf)
        if value.shape != leaf.shape:
            changed.append(f"{name}: {list(value.shape)} resized to {list(leaf.shape)}")
            value = _resize(path, name, value, leaf.shape)
        started[name] = jnp.asarray(value, leaf.dtype)
    account = dataclasses.replace(
        account,
        filled=tuple(sorted(flat.keys() & source.keys())),
        fresh=tuple(sorted(flat.keys() - source.keys())),
        changed=tuple(changed),
    )
    return unflatten_dict(started, sep="/"), account


def _read_source(path: Path, flat: Flat) -> tuple[Flat, Account]:
    """Reads a checkpoint as flat params whose blocks have the form of the model's."""
    if path.suffix == dinov2.SUFFIX:
        file = TorchFile(dinov2.read_npz(path), {})
        kernel, positions = "patch_embed.kernel", "pos_embed"
        try:
            patch, _, _, width = file.arrays["patch_embed.kernel"].shape
            side = len(file.arrays["pos_embed"])
    return source, account


def _resize(
    path: Path, name: str, value: jax.Array | np.ndarray, shape: tuple[int, ...]
) -> jax.Array:
    """Resizes positions and patch kernels; nothing else may have another shape."""
    if name == POSITIONS and value.shape[2:] == shape[2:]:
        return resize_positions_bicubic(jnp.asarray(value), *shape[:2])
    if name in PATCH_KERNELS and value.shape[2:] == shape[2:]:
        return resize_kernel(jnp.asarray(value), shape[0])
    raise ValueError(
        f"{path} does not fit: its {name} is {list(value.shape)}, the model's "
        f"{list(shape)}; start from another checkpoint or change config.model"
    )
