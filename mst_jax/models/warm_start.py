"""Warm start: initialize a model from another model's parameters, as far as they fit."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from mst_jax.atomic_io import PathLike, as_path
from mst_jax.backbones.vit_sizes import VIT_SIZES
from mst_jax.checkpoints.formats.weight_file import (
    WeightFile,
    is_weight_file,
    read_weight_file,
)
from mst_jax.checkpoints.packed_model import is_packed_model
from mst_jax.checkpoints.parameter_mapping import (
    ConversionReport,
    FlatParams,
    flatten_params,
    params_from_arrays,
)
from mst_jax.checkpoints.pretrained_vit import PretrainedViT, find_pretrained_vit
from mst_jax.geometry.resize import resize_positions_bicubic
from mst_jax.layers.patch_embed import resize_patch_kernel
from mst_jax.models.detect_architecture import detect_num_heads
from mst_jax.models.load import build_published_model, load
from mst_jax.models.trained_model import TrainedModel
from mst_jax.path_rules import any_matches

# Paths of parameters whose shapes may be changed by resizing.
IMAGE_KERNEL, POSITIONS = "embed/image/kernel", "embed/positions"
PATCH_KERNELS = (IMAGE_KERNEL, "embed/hints/kernel")

# Beginnings of the paths of all parameters before the neck.
ENCODER_PREFIXES = ("embed/", "backbone/")

# Its shape is [width heads head-width].
QUERY_KERNEL = "backbone/block0/attention/query/kernel"


class BlockSizes(NamedTuple):
    """Sizes that two backbones must have in common.

    Attributes:
        width: Channels of a token.
        depth: Number of blocks.
        num_heads: Number of attention heads of a block.
    """

    width: int
    depth: int
    num_heads: int

    def __str__(self) -> str:
        return f"width {self.width}, {self.depth} blocks, {self.num_heads} heads"


def warm_start_params(
    params: dict, path: str | os.PathLike, *, reinit: Sequence[str] = ()
) -> tuple[dict, ConversionReport]:
    """Replace initial parameters by those of a checkpoint where both models have them.

    Positions of another grid are resized bicubically, patch kernels of another size by
    the pseudo-inverse. A model of fewer blocks gets that many blocks of a whole model,
    evenly from the first to the last (Sanh et al., DistilBERT, 2019). All other
    parameters keep their initial values: all but patch embedding and blocks after MAE or
    DINOv2, token selection after SimpleClick, learned queries of another number.

    Args:
        params: Tree of initial parameters of any model.
        path: Whatever `load` takes.
        reinit: Patterns of the paths of parameters that keep their initial values, such
            as ("decoder/.*", "embed/positions").

    Returns:
        The parameters, and the report; its `reinitialized` are those that keep their
        initial values.

    Raises:
        ValueError: The checkpoint cannot be read, or does not fit; or a pattern matches
            nothing.
    """
    flat_params = flatten_params(params)
    source_path = as_path(path)
    excluded_paths = flatten_params(any_matches(reinit, params, block="config.reinit"))
    fitting_params, report = _read_source(source_path, flat_params)
    source: dict[str, Any] = {
        name: value
        for name, value in fitting_params.items()
        if not excluded_paths.get(name)
    }
    # Each parameter keeps the model's shape and dtype, whoever gives its values.
    started_params, resize_notes = {}, []
    for name, initial_value in flat_params.items():
        value, shape = source.get(name, initial_value), initial_value.shape
        if value.shape != shape:
            resize_notes.append(f"{name}: {list(value.shape)} resized to {list(shape)}")
            value = _resize(source_path, name, value, shape)
        started_params[name] = jnp.asarray(value, initial_value.dtype)
    report = dataclasses.replace(
        report,
        filled_params=tuple(sorted(flat_params.keys() & source.keys())),
        reinitialized=tuple(sorted(flat_params.keys() - source.keys())),
        changes=(*report.changes, *resize_notes),
    )
    return unflatten_dict(started_params, sep="/"), report


def _read_source(
    path: PathLike, flat_params: FlatParams
) -> tuple[FlatParams, ConversionReport]:
    """Read a checkpoint as flat parameters whose blocks have the sizes of the model's."""
    # 1. Our own models: runs, converted and bundled ones.
    if not is_weight_file(path) or is_packed_model(path):
        return _match_model(path, flat_params, load(path), ())
    # 2. A pretrained ViT; the model need not be built.
    weight_file = read_weight_file(path)
    try:
        pretrained = find_pretrained_vit(weight_file.arrays)
        if pretrained:
            return _match_pretrained_vit(weight_file, pretrained, flat_params)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    # 3. A published click model.
    model, report = build_published_model(path, weight_file)
    fitting_params, match_report = _match_model(
        path, flat_params, model, report.unused_arrays
    )
    changes = (*report.changes, *match_report.changes)
    return fitting_params, dataclasses.replace(match_report, changes=changes)


def _match_pretrained_vit(
    weight_file: WeightFile, pretrained: PretrainedViT, flat_params: FlatParams
) -> tuple[FlatParams, ConversionReport]:
    """Convert a ViT without clicks; if its number of heads is unknown it is the model's."""
    width, depth, patch_size, grid_side = pretrained.vit_shape
    model_sizes = _block_sizes(flat_params)
    num_heads = detect_num_heads(weight_file, width) or model_sizes.num_heads
    _check_block_sizes(
        BlockSizes(width, depth, num_heads), model_sizes, num_blocks=depth
    )
    paths = [path for rule in pretrained.mapping.rules for path in rule.param_paths]
    shapes = {path: flat_params[path].shape for path in paths}
    # The patch kernel and the positions are read in the file's shape and resized later.
    shapes[IMAGE_KERNEL] = (patch_size, patch_size, *shapes[IMAGE_KERNEL][2:])
    shapes[POSITIONS] = (grid_side, grid_side, width)
    fitting_params, report = params_from_arrays(
        weight_file.arrays, pretrained.mapping, shapes
    )
    return fitting_params, dataclasses.replace(report, changes=weight_file.remarks)


def _match_model(
    path: PathLike,
    flat_params: FlatParams,
    model: TrainedModel,
    unused_arrays: tuple[str, ...],
) -> tuple[FlatParams, ConversionReport]:
    """Select the parameters of a whole model that fit, whatever its architecture.

    Args:
        path: Path of the checkpoint, for error messages.
        flat_params: Initial parameters of the model to start.
        model: Model of the checkpoint.
        unused_arrays: Names of the checkpoint's arrays that the model does not use.
    """
    # 1. Blocks: width and heads must be equal, of more blocks some are selected.
    model_params = flatten_params(model.params)
    source_sizes, model_sizes = _block_sizes(model_params), _block_sizes(flat_params)
    try:
        _check_block_sizes(source_sizes, model_sizes, num_blocks=model_sizes.depth)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    block_indices = _select_blocks(source_sizes.depth, model_sizes.depth)
    num_blocks = len(block_indices)
    origin_names = _renumber_blocks(model_params, block_indices)
    source = {
        name: model_params[origin_name] for name, origin_name in origin_names.items()
    }
    # 2. Layers behind the backbone are taken whole or not at all.
    mismatched_layers = _mismatched_layers(source, flat_params)
    fitting_params = {
        name: value
        for name, value in source.items()
        if name in flat_params and _layer_of(name) not in mismatched_layers
    }
    # 3. The report names parameters of the checkpoint as arrays.
    used_names = {origin_names[name] for name in fitting_params}
    unused_names = tuple(sorted(model_params.keys() - used_names))
    changes = [
        f"{layer} does not fit, reinitialized" for layer in sorted(mismatched_layers)
    ]
    if num_blocks < source_sizes.depth:
        selected_text = ", ".join(map(str, block_indices))
        changes.append(f"blocks {selected_text} of {source_sizes.depth} used")
    report = ConversionReport(
        used_arrays=tuple(sorted(used_names)),
        unused_arrays=unused_arrays + unused_names,
        filled_params=(),
        changes=tuple(changes),
    )
    return fitting_params, report


def _select_blocks(depth: int, max_blocks: int) -> list[int]:
    """Return indices of at most `max_blocks` of `depth` blocks, evenly spaced."""
    spaced_indices = np.linspace(0, depth - 1, min(depth, max_blocks))
    return spaced_indices.round().astype(int).tolist()


def _renumber_blocks(
    names: Iterable[str], block_indices: Sequence[int]
) -> dict[str, str]:
    """Renumber the selected blocks from 0.

    Returns:
        New name -> name; parameters of other blocks are left out.
    """
    new_indices = {
        f"backbone/block{index}": new_index
        for new_index, index in enumerate(block_indices)
    }
    origin_names = {}
    for name in names:
        layer = _layer_of(name)
        # Blocks that were not selected are left out; all other layers keep their names.
        if layer in new_indices:
            param_suffix = name.removeprefix(layer)
            origin_names[f"backbone/block{new_indices[layer]}{param_suffix}"] = name
        elif not layer.startswith("backbone/block"):
            origin_names[name] = name
    return origin_names


def _mismatched_layers(source: FlatParams, flat_params: FlatParams) -> set[str]:
    """Return the layers behind the backbone some of whose shapes differ."""
    return {
        _layer_of(name)
        for name in source.keys() & flat_params.keys()
        if not name.startswith(ENCODER_PREFIXES)
        and source[name].shape != flat_params[name].shape
    }


def _layer_of(name: str) -> str:
    """Return the first two steps of a path, such as "neck/out4"."""
    return "/".join(name.split("/")[:2])


def _block_sizes(flat_params: Mapping[str, Any]) -> BlockSizes:
    """Return the sizes of a model's blocks."""
    block_names = {
        path.split("/")[1] for path in flat_params if path.startswith("backbone/block")
    }
    # Heads are an axis of the query kernel, so its shape holds their number.
    width, num_heads, _ = flat_params[QUERY_KERNEL].shape
    return BlockSizes(width, len(block_names), num_heads)


def _check_block_sizes(
    source_sizes: BlockSizes, model_sizes: BlockSizes, *, num_blocks: int
) -> None:
    """Check that the blocks of a checkpoint have the sizes of a model's.

    Args:
        source_sizes: Sizes of the checkpoint.
        model_sizes: Sizes of the model.
        num_blocks: Number of the checkpoint's blocks that are used.

    Raises:
        ValueError: Another width or number of heads, or too few blocks; the message
            names the sizes of models that fit.
    """
    used_blocks = min(num_blocks, source_sizes.depth)
    if source_sizes._replace(depth=used_blocks) == model_sizes:
        return
    fitting_sizes = [
        name
        for name, size in VIT_SIZES.items()
        if (size.width, size.num_heads) == (source_sizes.width, source_sizes.num_heads)
        and size.depth <= source_sizes.depth
    ]
    advice = "start from another checkpoint"
    if fitting_sizes:
        advice = (
            f"models of size {' or '.join(fitting_sizes)} can start from it: choose "
            "the size in the argument of the config, such as configs/objects.py:size="
            f"{fitting_sizes[-1]}, or {advice}"
        )
    raise ValueError(
        f"it has {source_sizes}, but the model has {model_sizes}; {advice}"
    )


def _resize(
    path: PathLike, name: str, value: jax.Array | np.ndarray, shape: tuple[int, ...]
) -> jax.Array:
    """Resize positions and patch kernels; other parameters must have the same shape."""
    if name == POSITIONS and value.shape[2:] == shape[2:]:
        return resize_positions_bicubic(jnp.asarray(value), *shape[:2])
    if name in PATCH_KERNELS and value.shape[2:] == shape[2:]:
        return resize_patch_kernel(jnp.asarray(value), shape[0])
    raise ValueError(
        f"{path} does not fit: its {name} is {list(value.shape)}, the model's "
        f"{list(shape)}; start from another checkpoint or change config.model"
    )
