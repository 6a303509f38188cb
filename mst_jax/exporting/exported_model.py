"""Load exported files as models that can be called like the model they came from."""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import FrozenConfigDict

from mst_jax.exporting.export_facts import ExportFacts
from mst_jax.exporting.program_functions import pack_clicks
from mst_jax.exporting.stablehlo_file import read_stablehlo_file
from mst_jax.interaction.host_arrays import copy_host_arrays
from mst_jax.models.load import load
from mst_jax.models.trained_model import TrainedModel, check_model_inputs
from mst_jax.structs import Clicks

ONNX_SUFFIX, STABLEHLO_SUFFIX = ".onnx", ".stablehlo"

# (image [b h w 3], clicks [b k 3], prev_mask [b h w]) -> logits [b h w]
LogitsFn = Callable[[Array, Array, Array], Array]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[],
    meta_fields=["path", "config", "size", "compute_logits"],
)
@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """A network of an exported file, called like the model that it was exported from.

    It has no parameters that could be replaced, and returns no token selections.

    Attributes:
        path: The file.
        config: Config of the model, with the zoom of the export.
        size: Height and width in pixels of the images that it takes.
        compute_logits: The program of the file.
    """

    path: Path
    config: FrozenConfigDict
    size: tuple[int, int]
    compute_logits: LogitsFn

    def __call__(
        self,
        image: Array | np.ndarray,
        clicks: Clicks,
        prev_mask: Array | np.ndarray,
    ) -> Float[Array, "b h w"]:
        """Predict a batch of images of the size of the file.

        Args:
            image: [b h w 3] RGB, float, 0 to 1.
            clicks: [b k] clicks, in pixels of the image.
            prev_mask: [b h w] probability map of the previous round, zeros at first.

        Returns:
            [b h w] float32 logits.

        Raises:
            ValueError: An argument has another shape or dtype, or the images have another
                size.
        """
        inputs = copy_host_arrays((image, clicks, prev_mask))
        check_model_inputs(*inputs)
        image, clicks, prev_mask = jax.tree.map(jnp.asarray, inputs)
        rows = pack_clicks(clicks)
        if image.shape[1:3] != self.size:
            height, width = self.size
            raise ValueError(
                f"{self.path} was exported for images of {height}x{width} pixels, got "
                f"{image.shape[1]}x{image.shape[2]}; use the zoom of the export, or "
                "export the model again with another --zoom or --size"
            )
        return self.compute_logits(
            *(jnp.asarray(x, jnp.float32) for x in (image, rows, prev_mask))
        )


def load_exported(path: str | os.PathLike) -> ExportedModel:
    """Load a network that `mst_jax.export` wrote.

    Args:
        path: ONNX file (needs the extra `export`), or StableHLO file with its JSON.

    Returns:
        `model(image, clicks, prev_mask) -> logits`, with `.config`.

    Raises:
        ValueError: There is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}; write one with mst_jax.export")
    facts, compute_logits = (
        _load_onnx(path) if path.suffix == ONNX_SUFFIX else _load_stablehlo(path)
    )
    if facts.kind != "network":
        raise ValueError(
            f"{path} holds a whole click, which runs without mst_jax; export the network "
            "(without --whole-click) to load it here"
        )
    return ExportedModel(path, facts.config_with_zoom(), facts.size, compute_logits)


def load_model(
    path: str | os.PathLike, *, dtype: str | None = None
) -> TrainedModel | ExportedModel:
    """Load an exported file, or whatever `mst_jax.load` takes.

    Args:
        path: Path of a file or folder, or the name of the bundled model.
        dtype: Compute dtype, see `mst_jax.load`; an exported file has its own.

    Raises:
        ValueError: There is no model at `path`, or a dtype is given for an exported file.
    """
    if Path(path).suffix not in (ONNX_SUFFIX, STABLEHLO_SUFFIX):
        return load(path, dtype=dtype)
    if dtype is not None:
        raise ValueError(
            f"--dtype is {dtype}, but the exported file {path} has a dtype of its own; "
            "leave out --dtype, or export the model again"
        )
    return load_exported(path)


def _load_onnx(path: Path) -> tuple[ExportFacts, LogitsFn]:
    """Load an ONNX file; JAX calls back to onnxruntime."""
    # Imported here: StableHLO files need no onnxruntime.
    from mst_jax.exporting.onnx_file import OnnxNetwork

    network = OnnxNetwork(path)

    def compute_logits(image: Array, clicks: Array, prev_mask: Array) -> Array:
        logits = jax.ShapeDtypeStruct(prev_mask.shape, jnp.float32)
        return jax.pure_callback(network.run, logits, image, clicks, prev_mask)

    return network.facts, compute_logits


def _load_stablehlo(path: Path) -> tuple[ExportFacts, LogitsFn]:
    """Load a StableHLO file."""
    exported, facts = read_stablehlo_file(path)

    @jax.jit
    def compute_logits(image: Array, clicks: Array, prev_mask: Array) -> Any:
        (logits,) = exported.call(image, clicks, prev_mask)
        return logits

    return facts, compute_logits
