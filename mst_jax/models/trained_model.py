"""A trained model that can be called with NumPy or JAX arrays."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import FrozenConfigDict

from mst_jax.interaction.host_arrays import copy_host_arrays
from mst_jax.models.click_model import ClickModel
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks, Outputs

# Distance from 0 and 1 at which values cannot come from rounding or resizing.
_RANGE_TOLERANCE = 0.5


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["module", "config"],
)
@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model that can be called; a JAX tree, so it may be an argument of jitted code.

    NumPy arguments are copied: they may be changed as soon as a call returns, although
    JAX computes the result later.

    Attributes:
        params: Tree of the parameters.
        module: Linen module that the parameters belong to.
        config: Config of the training run; the model's arguments are its key "model".
    """

    params: dict
    module: ClickModel
    config: FrozenConfigDict

    @property
    def compute_dtype(self) -> str:
        """Compute dtype of the matrix products, "float32" or "bfloat16"."""
        return jnp.dtype(self.module.backbone.dtype).name  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(
        self,
        image: Array | np.ndarray,
        clicks: Clicks,
        prev_mask: Array | np.ndarray,
    ) -> Array:
        """Predict a batch of images of any size; compiles once for each shape.

        Args:
            image: [b h w 3] RGB, float, 0 to 1; height and width are multiples of the
                patch size.
            clicks: [b k] clicks, in pixels of the image.
            prev_mask: [b h w] probability map of the previous round, zeros at first.

        Returns:
            [b h w] float32 logits.

        Raises:
            ValueError: An argument has another shape or dtype; a NumPy array has values
                out of range.
        """
        return self.forward(image, clicks, prev_mask).logits

    def forward(
        self,
        image: Array | np.ndarray,
        clicks: Clicks,
        prev_mask: Array | np.ndarray,
    ) -> Outputs:
        """Predict like a call, and return token selections and queries as well.

        Args:
            image: [b h w 3] RGB, float, 0 to 1.
            clicks: [b k] clicks, in pixels of the image.
            prev_mask: [b h w] probability map of the previous round, zeros at first.

        Raises:
            ValueError: An argument has another shape or dtype; a NumPy array has values
                out of range.
        """
        inputs = copy_host_arrays((image, clicks, prev_mask))
        check_model_inputs(*inputs)
        return _apply_module(self.module, self.params, *inputs)


@partial(jax.jit, static_argnums=0)
def _apply_module(module, params, image, clicks, prev_mask):
    return module.apply({"params": params}, image, clicks, prev_mask)


def check_model_inputs(image: Any, clicks: Any, prev_mask: Any) -> None:
    """Raise ValueError unless shapes and dtypes are those that a model takes.

    The values of NumPy arrays are checked, too. Those of JAX arrays are not: a check
    would wait for the device, and within jitted code there are no values.

    Args:
        image: Expected as float [b h w 3], 0 to 1.
        clicks: Expected as [b k] clicks.
        prev_mask: Expected as [b h w], 0 to 1.
    """
    # 1. Types and shapes.
    for name, array in (("image", image), ("prev_mask", prev_mask)):
        if not isinstance(array, (np.ndarray, jax.Array)):
            raise ValueError(
                f"{name} is a {type(array).__name__}, expected a NumPy or JAX array"
            )
    if not isinstance(clicks, Clicks):
        raise ValueError(
            f"clicks is a {type(clicks).__name__}, expected mst_jax.Clicks; "
            "Clicks.from_lists makes them of pairs"
        )
    shape, dtype = np.shape(image), image.dtype
    if len(shape) != 4 or shape[-1] != 3 or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"image is {dtype} {list(shape)}, expected float [b h w 3] from 0 to 1; "
            "divide uint8 images by 255 and add a leading axis to a single one"
        )
    if np.shape(prev_mask) != shape[:3]:
        raise ValueError(
            f"prev_mask is {list(np.shape(prev_mask))}, expected {list(shape[:3])} like "
            "the image; use zeros before the first prediction"
        )
    yx_shape, label_shape = np.shape(clicks.yx), np.shape(clicks.label)
    is_batched = len(label_shape) == 2 and label_shape[0] == shape[0]
    if not is_batched or yx_shape != (*label_shape, 2):
        raise ValueError(
            f"clicks are yx {list(yx_shape)} and label {list(label_shape)}, expected "
            f"[{shape[0]} k 2] and [{shape[0]} k]"
        )
    # 2. Values.
    _check_range("image", image, "divide an image from 0 to 255 by 255")
    _check_range("prev_mask", prev_mask, "apply the sigmoid to logits")
    _check_labels(clicks.label)


def _check_range(name: str, array: Any, remedy: str) -> None:
    """Raise ValueError unless the values of a NumPy array lie between 0 and 1."""
    if not isinstance(array, np.ndarray) or not array.size:
        return
    low, high = float(array.min()), float(array.max())
    # Written so that NaN is refused.
    if not (low >= -_RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE):
        raise ValueError(
            f"{name} has values from {low:g} to {high:g}, expected 0 to 1; {remedy}"
        )


def _check_labels(label: Any) -> None:
    """Raise ValueError unless labels in a NumPy array are 1, 0 or -1."""
    if not isinstance(label, np.ndarray):
        return
    unknown_labels = label[~np.isin(label, (POSITIVE, NEGATIVE, EMPTY))]
    if unknown_labels.size:
        raise ValueError(
            f"clicks have the label {unknown_labels[0]}, expected {POSITIVE} = positive, "
            f"{NEGATIVE} = negative or {EMPTY} = empty slot"
        )
