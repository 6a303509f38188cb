"""Prepare a trained model for export: compute dtype, stored dtype, size of its images."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import ClickModelFn
from mst_jax.models.trained_model import TrainedModel

ExportDtype = Literal["float32", "float16", "bfloat16"]

# An ONNX or StableHLO file stores all parameters in one buffer of at most 2 GiB.
MAX_PARAMETER_BYTES = 2**31 - 2**26


def with_half_parameters(model: TrainedModel) -> TrainedModel:
    """Return the model with its parameters rounded to float16, stored as float32.

    Args:
        model: Model from `load`.

    Raises:
        ValueError: A parameter is too large for float16.
    """
    with np.errstate(over="ignore"):
        params = jax.tree.map(
            lambda leaf: np.asarray(leaf).astype(np.float16).astype(np.float32),
            model.params,
        )
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
        raise ValueError(
            "the model has parameters too large for float16; export without --half"
        )
    return dataclasses.replace(model, params=params)


def store_parameters_as_float16(model: TrainedModel) -> ClickModelFn:
    """Return a function of the model whose parameters are float16 arrays.

    Args:
        model: Result of `with_half_parameters`.
    """
    # JAX would convert NumPy arrays now, and store the result.
    half_params = jax.tree.map(
        lambda leaf: jnp.asarray(leaf.astype(np.float16)), model.params
    )

    def compute_logits(image, clicks, prev_mask):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half_params)
        return dataclasses.replace(model, params=params)(image, clicks, prev_mask)

    return compute_logits


def check_parameter_bytes(model: TrainedModel, *, half: bool) -> None:
    """Raise ValueError if the parameters do not fit into one file.

    Args:
        model: Model to export.
        half: Whether they are stored as float16.
    """
    num_params = sum(leaf.size for leaf in jax.tree.leaves(model.params))
    num_bytes = num_params * (2 if half else 4)
    if num_bytes > MAX_PARAMETER_BYTES:
        advice = "choose a smaller model" if half else "use --half or a smaller model"
        raise ValueError(
            f"the parameters have {num_bytes / 2**30:.1f} GiB, and one file holds at most "
            f"{MAX_PARAMETER_BYTES / 2**30:.1f} GiB; {advice}"
        )


def network_size(zoom: ZoomOptions, size: tuple[int, int] | None) -> tuple[int, int]:
    """Return height and width of the images that the exported network takes.

    Args:
        zoom: Zoom of the export.
        size: Value of `--size`; None = the side of the zoom.

    Raises:
        ValueError: The size is missing, or is not that of the zoom.
    """
    if zoom.size is not None:
        if size is not None and size != (zoom.size, zoom.size):
            raise ValueError(
                f"--size is {size[0]}x{size[1]}, but the zoom shows the network "
                f"{zoom.size}x{zoom.size} pixels; give --zoom N for another side, or "
                "--zoom none for images without zoom"
            )
        size = (zoom.size, zoom.size)
    if size is None:
        raise ValueError(
            "the network sees whole images, whose size an exported file fixes; give "
            "--size HxW, or --zoom N"
        )
    return size
