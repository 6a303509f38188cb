"""The compiled program of `Predictor`."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import (
    ClickModelFn,
    predict_in_roi,
    predict_with_zoom,
)
from mst_jax.structs import Clicks


@functools.partial(jax.jit, static_argnames=("zoom", "is_roi_given"))
def predict_prob(
    model: ClickModelFn,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prob: Float[Array, "b h w"],
    roi: Int[Array, "b 4"],
    *,
    zoom: ZoomOptions,
    is_roi_given: bool,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Predict from 8-bit images, as sessions hold them; compiled for each size.

    Args:
        model: Model as a pytree, see `zoom_predict.as_pytree`.
        image: [b h w 3] RGB; smaller images fill the upper left corner.
        size: [b 2] height and width of each image without that padding.
        clicks: [b k] clicks in pixels of the image.
        prob: [b h w] probability of the previous prediction.
        roi: [b 4] region of interest, see `is_roi_given`.
        zoom: Zoom and test-time augmentation.
        is_roi_given: True = the network sees `roi` now; False = `roi` is that of the
            previous prediction, from which the next one follows.

    Returns:
        [b h w] probability and [b 4] region of interest.
    """
    float_image = image.astype(jnp.float32) / 255.0
    predict = predict_in_roi if is_roi_given else predict_with_zoom
    return predict(model, float_image, size, clicks, prob, roi, zoom=zoom)
