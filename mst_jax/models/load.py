"""Load a trained model from disk: the bundled one, a run, a converted or published file."""

import dataclasses
import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Array
from ml_collections import FrozenConfigDict

from mst_jax import config_options
from mst_jax.atomic_io import PathLike, as_path
from mst_jax.checkpoints.formats.weight_file import (
    WeightFile,
    is_weight_file,
    read_weight_file,
)
from mst_jax.checkpoints.integrity import (
    check_finite,
    check_same_shapes,
    flat_shapes,
)
from mst_jax.checkpoints.packed_model import is_packed_model, read_packed_model
from mst_jax.checkpoints.parameter_mapping import (
    ConversionReport,
    flatten_params,
    params_from_arrays,
)
from mst_jax.checkpoints.pretrained_vit import find_pretrained_vit
from mst_jax.compute_dtype import fastest_dtype
from mst_jax.models.build import build
from mst_jax.models.click_model import ClickModel
from mst_jax.models.detect_architecture import detect_model_config
from mst_jax.models.published_mapping import published_parameter_mapping
from mst_jax.models.trained_model import TrainedModel
from mst_jax.structs import Clicks

BUNDLED_DIR = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "mst-small"
"""Name of the bundled model; its card is `docs/mst-small.md`."""

# Parameters do not depend on the size of the image, so a few patches are enough to draw
# them.
NUM_INIT_PATCHES = 4


def parameter_shapes(module: ClickModel) -> dict[str, Any]:
    """Return the shapes and dtypes of a module's parameters without making them.

    Args:
        module: Model from `build`.

    Returns:
        Tree of `jax.ShapeDtypeStruct`.
    """
    # Equal modules are traced once, since `jit` finds them in its cache.
    return _jitted_init_params.eval_shape(module)


def _init_params(module: ClickModel) -> dict[str, Any]:
    """Initialize all parameters, with a fixed key."""
    image_side = NUM_INIT_PATCHES * module.embed.patch_size
    image = jnp.zeros((1, image_side, image_side, 3))
    prev_mask = jnp.zeros((1, image_side, image_side))
    clicks = Clicks.empty(1, num_slots=1)
    return dict(module.init(jax.random.key(0), image, clicks, prev_mask)["params"])


_jitted_init_params = jax.jit(_init_params, static_argnums=0)


@partial(jax.jit, static_argnums=(0, 1))
def _init_some_params(module: ClickModel, paths: tuple[str, ...]) -> dict[str, Array]:
    """Initialize some of a module's parameters; XLA removes the work for the others."""
    flat_params = flatten_params(_init_params(module))
    return {path: flat_params[path] for path in paths}


def load(path: str | os.PathLike, *, dtype: str | None = None) -> TrainedModel:
    """Load a model to call.

    Args:
        path: "mst-small" for the bundled model, unless a file or folder has this name;
            the workdir of a training run (its newest checkpoint is read), one of its
            `checkpoints/STEP`, a converted checkpoint (folder or `.safetensors`), or a
            file of weights of another program, see `weight_file.read_weight_file`. MAE's
            and DINOv2's become the plain model with all but the ViT initialized: for
            training, not for predictions.
        dtype: Compute dtype of the matrix products, "float32" or "bfloat16"; None = the
            faster one on a CPU, and on other devices that of the training, see
            `compute_dtype.fastest_dtype`.

    Returns:
        `model(image, clicks, prev_mask) -> logits`, with `.params` and `.config`.

    Raises:
        ValueError: There is nothing at `path`, the parameters are those of another model,
            some are not finite, or `dtype` is another one.
    """
    model = _load_as_trained(path)
    return with_compute_dtype(model, dtype or fastest_dtype(model.compute_dtype))


def with_compute_dtype(model: TrainedModel, dtype: str) -> TrainedModel:
    """Return the model with another compute dtype of the matrix products.

    Args:
        model: Model from `load`.
        dtype: "float32" or "bfloat16".

    Raises:
        ValueError: Another dtype.
    """
    if dtype == model.compute_dtype:
        return model
    model_options: dict[str, Any] = model.config.to_dict()["model"]
    module = build(**{**model_options, "dtype": dtype})
    return dataclasses.replace(model, module=module)


def _load_as_trained(path: str | os.PathLike) -> TrainedModel:
    """Load a model with the compute dtype of its config; the arguments are `load`'s."""
    # 1. The bundled model.
    source_path = as_path(path)
    bundled_path = BUNDLED_DIR / f"{os.fspath(path).replace('-', '_')}.safetensors"
    is_name = Path(path).name == os.fspath(path)
    if is_name and not source_path.exists() and bundled_path.is_file():
        # A test compares its shapes with those of its config: tracing the model for that
        # would take 0.7 s each time.
        return _load_packed(bundled_path, is_bundled=True)
    # 2. A single file of mst_jax, or a published one.
    if is_packed_model(source_path):
        return _load_packed(Path(source_path), is_bundled=False)
    if is_weight_file(source_path):
        model, report = build_published_model(
            source_path, read_weight_file(source_path)
        )
        for remark in report.changes:
            warnings.warn(f"{source_path}: {remark}", stacklevel=3)
        if report.reinitialized:
            warnings.warn(
                f"{source_path} holds a ViT alone: the rest of the model is initialized "
                "randomly, and its masks are meaningless; train it with "
                "--config.init_from=FILE",
                stacklevel=3,
            )
        return model
    # 3. A folder.
    return _load_folder(source_path)


def _load_packed(path: Path, *, is_bundled: bool) -> TrainedModel:
    """Load a `.safetensors` with a JSON beside it; the bundled one is not checked."""
    packed_model = read_packed_model(path)
    module = _build_from_config(packed_model.config, path)
    if not is_bundled:
        check_finite(packed_model.flat_params, path)
        saved_shapes = flat_shapes(unflatten_dict(packed_model.flat_params, sep="/"))
        check_same_shapes(saved_shapes, flat_shapes(parameter_shapes(module)), path)
    # Float16 saves half the file; all computation on parameters begins in float32.
    flat_params = {
        name: array.astype(np.float32)
        for name, array in packed_model.flat_params.items()
    }
    params = jax.device_put(unflatten_dict(flat_params, sep="/"))
    return TrainedModel(params, module, FrozenConfigDict(packed_model.config))


def _load_folder(path: PathLike) -> TrainedModel:
    """Load the workdir of a run, one of its checkpoints, or a converted checkpoint."""
    # Imported here: Orbax takes 0.2 s, and the bundled model does not need it.
    from mst_jax.checkpoints import model_folder

    config_folder, params_folder = model_folder.find_model_folders(path)
    config = model_folder.read_config_json(config_folder)
    module = _build_from_config(config, config_folder / model_folder.CONFIG_FILE)
    params = model_folder.read_params(params_folder, parameter_shapes(module))
    check_finite(params, params_folder)
    return TrainedModel(params, module, FrozenConfigDict(config))


def _build_from_config(config: dict[str, Any], source: PathLike) -> ClickModel:
    """Build the module of a config that was read from `source`."""
    if "model" not in config:
        raise ValueError(f"{source} names no model; expected a key 'model'")
    return config_options.call_with_options(
        build, f"'model' in {source}", **config["model"]
    )


def build_published_model(
    path: PathLike, weight_file: WeightFile
) -> tuple[TrainedModel, ConversionReport]:
    """Build the model of a published checkpoint.

    The parameters that a ViT without clicks does not hold are initialized with a fixed
    key.

    Args:
        path: Path of the file, for error messages.
        weight_file: Content of the file, see `read_weight_file`.

    Returns:
        The model, and what became of every array of the file.

    Raises:
        ValueError: The file holds no model that we know, or lacks an array.
    """
    try:
        # 1. The architecture, from the config or the shapes of the arrays.
        model_config = detect_model_config(weight_file)
        module = config_options.call_with_options(build, "its model", **model_config)
        expected = flatten_params(parameter_shapes(module))
        shapes = {name: leaf.shape for name, leaf in expected.items()}
        # 2. Its parameters; a pretrained ViT fills only some of them.
        pretrained = find_pretrained_vit(weight_file.arrays)
        if pretrained:
            mapping = pretrained.mapping
            shapes = {p: shapes[p] for rule in mapping.rules for p in rule.param_paths}
        else:
            mapping = published_parameter_mapping(model_config, module)
        filled_params, report = params_from_arrays(weight_file.arrays, mapping, shapes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    report = dataclasses.replace(report, changes=weight_file.remarks)
    # 3. The rest is initialized.
    flat_params: dict[str, Any] = dict(filled_params)
    missing_paths = tuple(sorted(expected.keys() - filled_params.keys()))
    if missing_paths:
        flat_params |= _init_some_params(module, missing_paths)
        report = dataclasses.replace(report, reinitialized=missing_paths)
    params = jax.tree.map(jnp.asarray, unflatten_dict(flat_params, sep="/"))
    config = weight_file.config or {"model": model_config}
    return TrainedModel(params, module, FrozenConfigDict(config)), report
