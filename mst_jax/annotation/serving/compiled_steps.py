"""The compiled steps of a click: crop the region of interest, forward pass, paste.

Only the forward pass needs the network, and with zoom its input has one size for all
images. Users of different images therefore share one pass, and a new image size
compiles only the two cheap steps.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.interaction import zoom_predict
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import ClickModelFn
from mst_jax.models.load import TrainedModel
from mst_jax.structs import Clicks, TokenSelectionOutput


class DeviceImage(NamedTuple):
    """An image on the device.

    Attributes:
        image: [1 h w 3] RGB, padded at the bottom and on the right.
        height: Height of the image without padding, in pixels.
        width: Width of the image without padding, in pixels.
    """

    image: UInt8[Array, "1 h w 3"]
    height: int
    width: int

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width with padding, in pixels."""
        _, padded_height, padded_width, _ = self.image.shape
        return padded_height, padded_width


class MaskState(NamedTuple):
    """The mask of an object, as the next click needs it.

    Attributes:
        prob: [1 h w] probability on the device; 0 on padding.
        roi: [1 4] previous region of interest on the device; -1 = none yet.
        mask: [height width] mask without padding.
    """

    prob: Float[Array, "1 h w"]
    roi: Int[Array, "1 4"]
    mask: Bool[np.ndarray, "height width"]


class RoiPrediction(NamedTuple):
    """The result of a forward pass; with the image size it determines the mask.

    Attributes:
        prob: [i j] probability of the region of interest.
        roi: [4] region of interest: top, bottom, left, right, inclusive; -1 without
            zoom.
    """

    prob: Float[np.ndarray, "i j"]
    roi: Int[np.ndarray, " 4"]


class NetworkInput(NamedTuple):
    """The input of the network for one click.

    Attributes:
        crop: [1 i j 4] image, 0 to 1, and previous mask of the region of interest.
        clicks: [1 k] clicks in pixels of the crop.
    """

    crop: Float[Array, "1 i j 4"]
    clicks: Clicks


@functools.partial(jax.jit, static_argnames=("zoom",))
def crop_roi(
    image: UInt8[Array, "1 h w 3"],
    size: Int[Array, "1 2"],
    clicks: Clicks,
    prob: Float[Array, "1 h w"],
    roi: Int[Array, "1 4"],
    *,
    zoom: ZoomOptions,
) -> tuple[NetworkInput, Int[Array, "1 4"]]:
    """Crop the next region of interest from an 8-bit image.

    Args:
        image: [1 h w 3] RGB, padded at the bottom and on the right.
        size: [1 2] height and width of the image without padding.
        clicks: [1 k] clicks in pixels of the image.
        prob: [1 h w] probability before the last click; 0 on padding.
        roi: [1 4] previous region of interest; -1 = none yet.
        zoom: Zoom options of the engine.

    Returns:
        The network's input, and the [1 4] region of interest, -1 without zoom.
    """
    image = image.astype(jnp.float32) / 255.0
    crop, clicks, roi = zoom_predict.crop_roi(image, size, clicks, prob, roi, zoom=zoom)
    return NetworkInput(crop, clicks), roi


@functools.partial(jax.jit, static_argnames=("zoom",))
def crop_at(
    image: UInt8[Array, "1 h w 3"],
    clicks: Clicks,
    prob: Float[Array, "1 h w"],
    roi: Int[Array, "1 4"],
    *,
    zoom: ZoomOptions,
) -> NetworkInput:
    """Crop a given region of interest from an 8-bit image; see `crop_roi`."""
    image = image.astype(jnp.float32) / 255.0
    return NetworkInput(*zoom_predict.crop_at(image, clicks, prob, roi, zoom=zoom))


grow_rois = jax.jit(zoom_predict.grow_rois)
"""Grow the region of interest where it cuts the mask, see `zoom_predict.grow_rois`."""


@functools.partial(jax.jit, static_argnames=("flip_tta",))
def forward(
    model: ClickModelFn, inputs: tuple[NetworkInput, ...], *, flip_tta: bool
) -> Float[Array, "b i j"]:
    """Run the network on the inputs of several users in one pass.

    Args:
        model: Model as a JAX pytree, see `zoom_predict.as_pytree`.
        inputs: Inputs of the same size, one for each example of the batch.
        flip_tta: Average the logits with those of the flipped crops.

    Returns:
        [b i j] float32 probability of each crop.
    """
    # Concatenated inside the program: the host makes no copies.
    batch = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *inputs)
    return zoom_predict.forward(model, batch.crop, batch.clicks, flip_tta=flip_tta)


@functools.partial(jax.jit, static_argnames=("shape", "has_zoom"))
def paste_roi(
    crop_prob: Float[Array, "1 i j"],
    roi: Int[Array, "1 4"],
    *,
    shape: tuple[int, int],
    has_zoom: bool,
) -> tuple[Float[Array, "1 h w"], Bool[Array, "1 h w"]]:
    """Paste the probability of a crop into the image, and threshold it.

    Args:
        crop_prob: [1 i j] probability of the region of interest.
        roi: [1 4] region of interest: top, bottom, left, right, inclusive.
        shape: Height and width of the padded image in pixels.
        has_zoom: False = the crop is the image itself.

    Returns:
        [1 h w] probability, 0 outside the region of interest; [1 h w] mask.
    """
    prob = zoom_predict.paste_roi(crop_prob, roi, *shape) if has_zoom else crop_prob
    return prob, prob > MASK_THRESHOLD


@jax.jit
def select_tokens(
    model: TrainedModel, network_input: NetworkInput
) -> tuple[TokenSelectionOutput, ...]:
    """Return the output of each token selection for one input, without flipping.

    Args:
        model: Model with token selection.
        network_input: Input for one click.
    """
    crop, clicks = network_input
    return model.forward(crop[..., :3], clicks, crop[..., 3]).selections
