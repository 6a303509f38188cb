"""Crop the region of interest that the network sees for a click."""

import numpy as np
from jaxtyping import Array, Float, Int

from mst_jax.annotation.serving import compiled_steps
from mst_jax.annotation.serving.compiled_steps import (
    DeviceImage,
    MaskState,
    NetworkInput,
)
from mst_jax.inference.click_session import Click, to_click_slots
from mst_jax.interaction.inference_options import ZoomOptions

Roi = Int[Array, "1 4"]


class RegionCropper:
    """The compiled steps before the network, with the zoom options of the server.

    Attributes:
        max_growths: Maximum number of times that a region grows after a click.
    """

    def __init__(self, zoom: ZoomOptions) -> None:
        """Keep the options.

        Args:
            zoom: Zoom options of the server.
        """
        self._zoom = zoom
        self.max_growths = zoom.max_growths if zoom.size is not None else 0

    def crop_next(
        self, device_image: DeviceImage, clicks: tuple[Click, ...], state: MaskState
    ) -> tuple[NetworkInput, Roi]:
        """Crop the next region of interest.

        Args:
            device_image: Image of the object.
            clicks: All clicks on the object.
            state: State before the last click.
        """
        return compiled_steps.crop_roi(
            device_image.image,
            _size_of(device_image),
            to_click_slots(clicks),
            state.prob,
            state.roi,
            zoom=self._zoom,
        )

    def crop_at(
        self,
        device_image: DeviceImage,
        clicks: tuple[Click, ...],
        state: MaskState,
        roi: Roi,
    ) -> NetworkInput:
        """Crop a given region of interest; other arguments as for `crop_next`."""
        click_slots = to_click_slots(clicks)
        return compiled_steps.crop_at(
            device_image.image, click_slots, state.prob, roi, zoom=self._zoom
        )

    def grow(
        self, device_image: DeviceImage, prob: Float[np.ndarray, "i j"], roi: Roi
    ) -> Roi:
        """Grow a region of interest where it cuts the mask.

        Args:
            device_image: Image of the object.
            prob: [i j] probability of the region.
            roi: [1 4] region of interest.

        Returns:
            [1 4] the larger region; the same one if it cuts nothing.
        """
        return compiled_steps.grow_rois(prob[None], roi, _size_of(device_image))


def _size_of(device_image: DeviceImage) -> Int[np.ndarray, "1 2"]:
    return np.array([[device_image.height, device_image.width]], np.int32)
