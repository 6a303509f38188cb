"""Compute snapshots of objects, and read their masks.

A snapshot is the state of an object after a change of its mask.
"""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.serving.compiled_steps import DeviceImage, MaskState
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.prediction_cache import (
    PredictionCache,
    PredictionKey,
)
from mst_jax.annotation.store.history import ObjectSnapshot
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import TokenBoxes

ReadPixelsFn = Callable[[], UInt8[np.ndarray, "h w 3"]]


class SnapshotRenderer:
    """Compute snapshots; their masks are stored, what the next click needs is not.

    The next click needs the probability map of the mask. The last one is kept on the
    device, and `PredictionCache` has more of them at the size of the network's input.
    One that is in neither is computed again from the clicks. The image is decoded and
    copied to the device when a method needs it.
    """

    def __init__(
        self,
        storage: SessionStorage,
        engine: InferenceEngine,
        predictions: PredictionCache,
        image_size: tuple[int, int],
        read_pixels: ReadPixelsFn,
    ) -> None:
        """Use the image of a session; nothing is decoded yet.

        Args:
            storage: Rows of the session.
            engine: Engine of the server.
            predictions: Predictions of all sessions.
            image_size: Height and width of the image in pixels.
            read_pixels: Decodes the image.
        """
        self._storage, self._engine = storage, engine
        self._predictions = predictions
        self._image_size = image_size
        self._read_pixels = read_pixels
        self._device_image: DeviceImage | None = None
        # The last state and the last new mask: a click needs the state before it, and
        # its response the mask after it.
        self._last_state: tuple[PredictionKey, MaskState] | None = None
        self._last_mask: tuple[int, Bool[np.ndarray, "h w"]] | None = None

    @property
    def num_device_bytes(self) -> int:
        """Number of bytes of the image and of the last state; 0 = not loaded."""
        if self._device_image is None:
            return 0
        return self._engine.count_bytes(*self._image_size)

    def release(self) -> None:
        """Drop the image, the last state and mask; they are loaded again when needed."""
        self._device_image = self._last_state = self._last_mask = None

    def initial_snapshot(self, initial_mask_id: int | None) -> ObjectSnapshot:
        """Return the snapshot before the first click.

        Args:
            initial_mask_id: ID of the mask to begin from; None = no mask.
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
        mask_id = self._storage.stage_mask(mask)
        return ObjectSnapshot(initial_mask_id=mask_id, area=int(mask.sum()))

    def apply_clicks(
        self, snapshot: ObjectSnapshot, clicks: Iterable[Click]
    ) -> ObjectSnapshot:
        """Make clicks one after the other, and stage the mask after the last one.

        Args:
            snapshot: Object before the clicks.
            clicks: Clicks to add, in order.

        Returns:
            The object after the clicks.
        """
        all_clicks = (*snapshot.clicks, *clicks)
        if len(all_clicks) == len(snapshot.clicks):  # no click to add
            return snapshot
        mask = self._state_after(snapshot.initial_mask_id, all_clicks).mask
        mask_id = self._storage.stage_mask(mask)
        self._last_mask = mask_id, mask
        return ObjectSnapshot(
            clicks=all_clicks,
            initial_mask_id=snapshot.initial_mask_id,
            mask_id=mask_id,
            area=int(np.count_nonzero(mask)),
        )

    def render_mask(self, snapshot: ObjectSnapshot) -> Bool[np.ndarray, "h w"]:
        """Return the mask of a snapshot; it needs neither the image nor the network.

        Args:
            snapshot: Object to render.
        """
        mask_id = snapshot.mask_id
        if mask_id is None:
            mask_id = snapshot.initial_mask_id
        if mask_id is None:
            return np.zeros(self._image_size, bool)
        if self._last_mask is not None and mask_id == self._last_mask[0]:
            return self._last_mask[1]
        return self._storage.read_mask(mask_id)

    def render_prob(self, snapshot: ObjectSnapshot) -> Float[np.ndarray, "h w"]:
        """Return the probability map of a snapshot, 0 to 1.

        Args:
            snapshot: Object to render.
        """
        state = self._state_after(snapshot.initial_mask_id, snapshot.clicks)
        height, width = self._image_size
        return np.asarray(state.prob)[0, :height, :width]

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
        state = self._state_after(snapshot.initial_mask_id, snapshot.clicks)
        return self._engine.token_boxes(self._load_image(), snapshot.clicks, state)

    def _load_image(self) -> DeviceImage:
        """Return the image on the device; decode it if it is not there."""
        if self._device_image is None:
            pixels = self._read_pixels()
            self._engine.compile_required(*pixels.shape[:2])
            self._device_image = self._engine.load_image(pixels)
        return self._device_image

    def _state_after(
        self, initial_mask_id: int | None, clicks: tuple[Click, ...]
    ) -> MaskState:
        """Return the state after clicks; those whose predictions are known cost little.

        Args:
            initial_mask_id: ID of the mask that the clicks correct; None = no mask.
            clicks: All clicks, in order.
        """
        device_image = self._load_image()
        num_known, state = self._longest_known(initial_mask_id, clicks)
        # One prediction per click, each from the state before it, as users make them.
        for num_clicks in range(num_known + 1, len(clicks) + 1):
            key = self._key(initial_mask_id, clicks[:num_clicks])
            prediction = self._engine.predict(device_image, key.clicks, state)
            self._predictions.put(key, prediction)
            state = self._engine.paste_prediction(device_image, prediction)
        self._last_state = self._key(initial_mask_id, clicks), state
        return state

    def _longest_known(
        self, initial_mask_id: int | None, clicks: tuple[Click, ...]
    ) -> tuple[int, MaskState]:
        """Return how many clicks need no prediction, and the state after them."""
        device_image = self._load_image()
        for num_clicks in range(len(clicks), -1, -1):
            key = self._key(initial_mask_id, clicks[:num_clicks])
            if self._last_state is not None and self._last_state[0] == key:
                return num_clicks, self._last_state[1]
            prediction = self._predictions.get(key)
            if prediction is not None:
                state = self._engine.paste_prediction(device_image, prediction)
                return num_clicks, state
        if initial_mask_id is None:
            return 0, self._engine.empty_state(device_image)
        mask = self._storage.read_mask(initial_mask_id)
        return 0, self._engine.state_from_mask(device_image, mask)

    def _key(
        self, initial_mask_id: int | None, clicks: tuple[Click, ...]
    ) -> PredictionKey:
        return PredictionKey(self._storage.session_id, initial_mask_id, clicks)
