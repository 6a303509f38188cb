"""Compute snapshots of objects, and render their masks from the stored arrays.

A snapshot is the state of an object after a change of its mask.
"""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Bool, UInt8

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.serving.compiled_steps import (
    DeviceImage,
    MaskState,
    RoiPrediction,
)
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.store.history import ObjectSnapshot
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import TokenBoxes

ReadPixelsFn = Callable[[], UInt8[np.ndarray, "h w 3"]]


class SnapshotRenderer:
    """Compute snapshots, and restore their masks exactly as first predicted.

    Predictions are stored as the network returned them, at the size of its input.
    Pasting one into the image again gives the same probabilities without a forward
    pass. The image is decoded and copied to the device when a method needs it.
    """

    def __init__(
        self,
        storage: SessionStorage,
        engine: InferenceEngine,
        image_size: tuple[int, int],
        read_pixels: ReadPixelsFn,
    ) -> None:
        """Use the image of a session; nothing is decoded yet.

        Args:
            storage: Rows of the session.
            engine: Engine of the server.
            image_size: Height and width of the image in pixels.
            read_pixels: Decodes the image.
        """
        self._storage, self._engine = storage, engine
        self._image_size = image_size
        self._read_pixels = read_pixels
        self._device_image: DeviceImage | None = None
        # The last rendered snapshot: a click needs the mask before it, which is nearly
        # always this one.
        self._cached: tuple[ObjectSnapshot, MaskState] | None = None

    @property
    def num_device_bytes(self) -> int:
        """Number of bytes of the image and of the cached mask; 0 = not loaded."""
        if self._device_image is None:
            return 0
        return self._engine.count_bytes(*self._image_size)

    def release(self) -> None:
        """Drop the image and the cached mask; they are loaded again when needed."""
        self._device_image = self._cached = None

    def initial_snapshot(self, initial_mask_id: int | None) -> ObjectSnapshot:
        """Return the snapshot before the first click.

        Args:
            initial_mask_id: Array ID of the mask to begin from; None = no mask.
        """
        if initial_mask_id is None:
            return ObjectSnapshot()
        area = int(self._storage.read_mask(initial_mask_id).sum())
        return ObjectSnapshot(initial_mask_id=initial_mask_id, area=area)

    def stage_mask(self, mask: Bool[np.ndarray, "h w"]) -> ObjectSnapshot:
        """Stage an uploaded or painted mask, and return its snapshot.

        Args:
            mask: [h w] object pixels.

        Raises:
            RequestRejected: The mask is empty.
        """
        if not mask.any():
            raise RequestRejected(
                "the mask is empty, expected an object; reset the object instead"
            )
        array_id = self._storage.stage_mask(mask)
        return ObjectSnapshot(initial_mask_id=array_id, area=int(mask.sum()))

    def apply_clicks(
        self, snapshot: ObjectSnapshot, clicks: Iterable[Click]
    ) -> ObjectSnapshot:
        """Make clicks one after the other, and stage the last prediction.

        Args:
            snapshot: Object before the clicks.
            clicks: Clicks to add, in order.

        Returns:
            The object after the clicks.
        """
        device_image = self._load_image()
        all_clicks, state = snapshot.clicks, self.render_snapshot(snapshot)
        prediction = None
        # One prediction per click, each from the mask before it, as a user makes them.
        for click in clicks:
            all_clicks = (*all_clicks, click)
            prediction = self._engine.predict(device_image, all_clicks, state)
            state = self._engine.paste_prediction(device_image, prediction)
        if prediction is None:  # no click to add
            return snapshot
        # Only the last prediction is needed: it restores the mask on its own.
        array_id = self._storage.stage_prediction(prediction.prob)
        top, bottom, left, right = prediction.roi.tolist()
        new_snapshot = ObjectSnapshot(
            clicks=all_clicks,
            initial_mask_id=snapshot.initial_mask_id,
            prediction_id=array_id,
            roi=(top, bottom, left, right),
            area=int(state.mask.sum()),
        )
        self._cached = (new_snapshot, state)
        return new_snapshot

    def render_mask(self, snapshot: ObjectSnapshot) -> Bool[np.ndarray, "h w"]:
        """Return the mask of a snapshot; without a prediction it needs no image.

        Args:
            snapshot: Object to render.
        """
        if snapshot.prediction_id is not None:
            return self.render_snapshot(snapshot).mask
        if snapshot.initial_mask_id is not None:
            return self._storage.read_mask(snapshot.initial_mask_id)
        return np.zeros(self._image_size, bool)

    def render_snapshot(self, snapshot: ObjectSnapshot) -> MaskState:
        """Return the mask of a snapshot and cache it.

        Args:
            snapshot: Object to render.
        """
        if self._cached is None or snapshot != self._cached[0]:
            self._cached = (snapshot, self._render_uncached(snapshot))
        return self._cached[1]

    def token_boxes(self, snapshot: ObjectSnapshot) -> tuple[TokenBoxes, TokenBoxes]:
        """Return the fine and coarse tokens that the model selects for a snapshot.

        Args:
            snapshot: Object with at least one click.

        Raises:
            RequestRejected: The model has no token selection, or there is no click yet.
        """
        if not self._engine.has_token_selection:
            raise RequestRejected("this model has no token selection", 404)
        if not snapshot.clicks:
            raise RequestRejected(
                "no tokens are selected before the first click; click first", 404
            )
        state = self.render_snapshot(snapshot)
        return self._engine.token_boxes(self._load_image(), snapshot.clicks, state)

    def _load_image(self) -> DeviceImage:
        """Return the image on the device; decode it if it is not there."""
        if self._device_image is None:
            pixels = self._read_pixels()
            self._engine.compile_required(*pixels.shape[:2])
            self._device_image = self._engine.load_image(pixels)
        return self._device_image

    def _render_uncached(self, snapshot: ObjectSnapshot) -> MaskState:
        device_image = self._load_image()
        # The newest array decides: prediction, then initial mask, then nothing.
        if snapshot.prediction_id is not None:
            prob = self._storage.read_prediction(snapshot.prediction_id)
            prediction = RoiPrediction(prob, np.array(snapshot.roi, np.int32))
            return self._engine.paste_prediction(device_image, prediction)
        if snapshot.initial_mask_id is not None:
            mask = self._storage.read_mask(snapshot.initial_mask_id)
            return self._engine.state_from_mask(device_image, mask)
        return self._engine.empty_state(device_image)
