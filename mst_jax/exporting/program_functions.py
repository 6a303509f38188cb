"""The functions that exported files hold: the network, and a whole click."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import export as jax_export
from jaxtyping import Array, Float, Int, UInt8

from mst_jax.inference.compiled_prediction import predict_prob
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree
from mst_jax.structs import Clicks


class ExportableProgram(NamedTuple):
    """A function with the shapes of its arguments.

    Attributes:
        function: Takes arrays, returns a tuple of arrays.
        inputs: Name -> shape and dtype of each argument, in order.
        output_names: Names of the results.
    """

    function: Callable[..., tuple[Array, ...]]
    inputs: Mapping[str, jax.ShapeDtypeStruct]
    output_names: tuple[str, ...]


def network_program(model: ClickModelFn, height: int, width: int) -> ExportableProgram:
    """Return the forward pass of a model for images of one size.

    The numbers of images and of click slots are free.

    Args:
        model: Model to call.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
    """

    def compute_logits(
        image: Float[Array, "b h w 3"],
        clicks: Float[Array, "b k 3"],
        prev_mask: Float[Array, "b h w"],
    ) -> tuple[Float[Array, "b h w"]]:
        return (model(image, unpack_clicks(clicks), prev_mask),)

    b, k = jax_export.symbolic_shape("b, k")
    inputs = {
        "image": jax.ShapeDtypeStruct((b, height, width, 3), jnp.float32),
        "clicks": jax.ShapeDtypeStruct((b, k, 3), jnp.float32),
        "prev_mask": jax.ShapeDtypeStruct((b, height, width), jnp.float32),
    }
    return ExportableProgram(compute_logits, inputs, ("logits",))


def click_program(model: ClickModelFn, zoom: ZoomOptions) -> ExportableProgram:
    """Return a whole click on one image of any size: zoom, network, paste.

    It is the program of `Predictor.click`; the number of click slots is free.

    Args:
        model: Model to call.
        zoom: Zoom and test-time augmentation.
    """

    def predict_click(
        image: UInt8[Array, "b h w 3"],
        clicks: Float[Array, "b k 3"],
        prob: Float[Array, "b h w"],
        roi: Int[Array, "b 4"],
    ) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
        size = jnp.stack([jnp.asarray(dim, jnp.int32) for dim in image.shape[1:3]])
        return predict_prob(
            *(as_pytree(model), image, size[None], unpack_clicks(clicks), prob, roi),
            zoom=zoom,
            is_roi_given=False,
        )

    k, h, w = jax_export.symbolic_shape("k, h, w")
    inputs = {
        "image": jax.ShapeDtypeStruct((1, h, w, 3), jnp.uint8),
        "clicks": jax.ShapeDtypeStruct((1, k, 3), jnp.float32),
        "prob": jax.ShapeDtypeStruct((1, h, w), jnp.float32),
        "roi": jax.ShapeDtypeStruct((1, 4), jnp.int32),
    }
    return ExportableProgram(predict_click, inputs, ("new_prob", "new_roi"))


def unpack_clicks(clicks: Float[Array, "b k 3"]) -> Clicks:
    """Return clicks given as rows of row, column and label.

    Args:
        clicks: [b k 3] row and column in pixels; label 1 = positive, 0 = negative,
            -1 = empty slot.
    """
    return Clicks(yx=clicks[..., :2], label=clicks[..., 2].astype(jnp.int32))


def pack_clicks(clicks: Clicks) -> Float[Array, "b k 3"]:
    """Return clicks as rows of row, column and label; inverts `unpack_clicks`.

    Args:
        clicks: [b k] clicks.
    """
    label = clicks.label[..., None].astype(clicks.yx.dtype)
    return jnp.concatenate([clicks.yx, label], axis=-1)
