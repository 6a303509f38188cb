"""Warm start: initialize a model from another model's parameters, as far as they fit."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from mst_jax.atomic_io import PathLike, as_path
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
from mst_jax.models.block_matching import (
    BlockSizes,
    block_sizes,
    check_block_sizes,
    layer_of,
    mismatched_layers,
    renumber_blocks,
    select_blocks,
)
from mst_jax.models.detect_architecture import detect_num_heads
from mst_jax.models.load import build_published_model, load
from mst_jax.models.trained_model import TrainedModel
from mst_jax.path_rules import any_matches

# Paths of parameters whose shapes may be changed by resizing.
IMAGE_KERNEL, POSITIONS = "embed/image/kernel", "embed/positions"
PATCH_KERNELS = (IMAGE_KERNEL, "embed/hints/kernel")


class StartValues(NamedTuple):
    """Parameters of a checkpoint that a model starts from.

    Attributes:
        path: Path of the checkpoint.
        values: Path of each parameter -> value, in the shape of the checkpoint.
        report: What becomes of every array and parameter; its `reinitialized` are the
            parameters that keep their initial values.
    """

    path: PathLike
    values: FlatParams
    report: ConversionReport


def warm_start_params(
    params: dict, path: str | os.PathLike, *, reinit: Sequence[str] = ()
) -> tuple[dict, ConversionReport]:
    """Replace initial parameters by those of a checkpoint where both models have them.

    Args:
        params: Tree of initial parameters of any model.
        path: Whatever `load` takes.
        reinit: See `read_start_values`.

    Returns:
        The parameters, and the report of `StartValues`.

    Raises:
        ValueError: See `read_start_values`.
    """
    start = read_start_values(params, path, reinit=reinit)
    return fill_params(params, start), start.report


def read_start_values(
    params: dict, path: str | os.PathLike, *, reinit: Sequence[str] = ()
) -> StartValues:
    """Read the parameters of a checkpoint that fit a model, which need not be initialized.

    Positions of another grid are resized bicubically, patch kernels of another size by
    the pseudo-inverse. A model of fewer blocks gets that many blocks of a whole model,
    evenly from the first to the last (Sanh et al., DistilBERT, 2019). All other
    parameters keep their initial values: all but patch embedding and blocks after MAE or
    DINOv2, token selection after SimpleClick, learned queries of another number.

    Args:
        params: Tree of the model's parameters, or of their shapes.
        path: Whatever `load` takes.
        reinit: Patterns of the paths of parameters that keep their initial values, such
            as ("decoder/.*", "embed/positions").

    Returns:
        The values, an argument of `fill_params`.

    Raises:
        ValueError: The checkpoint cannot be read, or does not fit; or a pattern matches
            nothing.
    """
    flat_params = flatten_params(params)
    source_path = as_path(path)
    excluded_paths = flatten_params(any_matches(reinit, params, block="config.reinit"))
    fitting_params, report = _read_source(source_path, flat_params)
    values: dict[str, Any] = {
        name: value
        for name, value in fitting_params.items()
        if name in flat_params and not excluded_paths[name]
    }
    resize_notes = []
    for name, value in values.items():
        shape = flat_params[name].shape
        if value.shape != shape:
            _check_resizable(source_path, name, value.shape, shape)
            resize_notes.append(f"{name}: {list(value.shape)} resized to {list(shape)}")
    report = dataclasses.replace(
        report,
        filled_params=tuple(sorted(values)),
        reinitialized=tuple(sorted(flat_params.keys() - values.keys())),
        changes=(*report.changes, *resize_notes),
    )
    return StartValues(source_path, values, report)


def fill_params(params: dict, start: StartValues) -> dict:
    """Replace initial parameters by the values of a checkpoint.

    Args:
        params: Tree of initial parameters, of the shapes that `start` was read for.
        start: Values of `read_start_values`.
    """
    started_params = flatten_params(params)
    # Each parameter keeps the model's shape and dtype, whoever gives its values.
    for name, value in start.values.items():
        initial_value = started_params[name]
        if value.shape != initial_value.shape:
            value = _resize(name, value, initial_value.shape)
        started_params[name] = jnp.asarray(value, initial_value.dtype)
    return unflatten_dict(started_params, sep="/")


def _read_source(
    path: PathLike, flat_params: Mapping[str, Any]
) -> tuple[FlatParams, ConversionReport]:
    """Read a checkpoint as flat parameters whose blocks have the sizes of the model's."""
    # 1. Models of mst_jax: runs, converted and bundled ones.
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
    weight_file: WeightFile, pretrained: PretrainedViT, flat_params: Mapping[str, Any]
) -> tuple[FlatParams, ConversionReport]:
    """Convert a ViT without clicks; if its number of heads is unknown it is the model's."""
    width, depth, patch_size, grid_side = pretrained.vit_shape
    model_sizes = block_sizes(flat_params)
    num_heads = detect_num_heads(weight_file, width) or model_sizes.num_heads
    check_block_sizes(
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
    flat_params: Mapping[str, Any],
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
    source_sizes, model_sizes = block_sizes(model_params), block_sizes(flat_params)
    try:
        check_block_sizes(source_sizes, model_sizes, num_blocks=model_sizes.depth)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    block_indices = select_blocks(source_sizes.depth, model_sizes.depth)
    num_blocks = len(block_indices)
    origin_names = renumber_blocks(model_params, block_indices)
    source = {
        name: model_params[origin_name] for name, origin_name in origin_names.items()
    }
    # 2. Layers behind the backbone are taken whole or not at all.
    unfit_layers = mismatched_layers(source, flat_params)
    fitting_params = {
        name: value
        for name, value in source.items()
        if name in flat_params and layer_of(name) not in unfit_layers
    }
    # 3. The report names parameters of the checkpoint as arrays.
    used_names = {origin_names[name] for name in fitting_params}
    unused_names = tuple(sorted(model_params.keys() - used_names))
    changes = [f"{layer} does not fit, reinitialized" for layer in sorted(unfit_layers)]
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


def _check_resizable(
    path: PathLike, name: str, shape: tuple[int, ...], model_shape: tuple[int, ...]
) -> None:
    """Raise ValueError unless a parameter may be resized: positions, patch kernels."""
    if name not in (POSITIONS, *PATCH_KERNELS) or shape[2:] != model_shape[2:]:
        raise ValueError(
            f"{path} does not fit: its {name} is {list(shape)}, the model's "
            f"{list(model_shape)}; start from another checkpoint or change config.model"
        )


def _resize(
    name: str, value: jax.Array | np.ndarray, shape: tuple[int, ...]
) -> jax.Array:
    """Resize positions or a patch kernel."""
    if name == POSITIONS:
        return resize_positions_bicubic(jnp.asarray(value), *shape[:2])
    return resize_patch_kernel(jnp.asarray(value), shape[0])
