"""Compute snapshots of objects, and render their masks from the arrays on disk.

A snapshot is the state of an object after a change of its mask.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.serving.compiled_steps import MaskState, RoiPrediction
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.history import ObjectSnapshot
from mst_jax.annotation.sessions.storage import SessionStorage
from mst_jax.data.formats import images
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import TokenBoxes


class SnapshotRenderer:
    """Compute and store snapshots, and restore their masks exactly as first predicted.

    Predictions are stored as the network returned them, at the size of its input.
    Pasting one into the image again gives the same probabilities without a forward
    pass.

    Attributes:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        next_array_id: ID for the next prediction or mask that is stored.
    """

    def __init__(
        self, storage: SessionStorage, engine: InferenceEngine, next_array_id: int
    ) -> None:
        """Load the image of a session; compile what its size needs.

        Args:
            storage: Folder of the session.
            engine: Engine of the server.
            next_array_id: ID for the first prediction or mask that is stored.
        """
        pixels = images.decode_image(storage.read_image())
        self.height, self.width = pixels.shape[:2]
        self.next_array_id = next_array_id
        engine.compile_required(self.height, self.width)
        self._storage, self._engine = storage, engine
        self._device_image = engine.load_image(pixels)
        # The last rendered snapshot: a click needs the mask before it, which is nearly
        # always this one.
        empty_state = engine.empty_state(self._device_image)
        self._cached: tuple[ObjectSnapshot, MaskState] = (ObjectSnapshot(), empty_state)

    def initial_snapshot(self, initial_mask_id: int | None) -> ObjectSnapshot:
        """Return the snapshot before the first click.

        Args:
            initial_mask_id: Array ID of the mask to begin from; None = no mask.
        """
        if initial_mask_id is None:
            return ObjectSnapshot()
        area = int(self._storage.read_mask(initial_mask_id).sum())
        return ObjectSnapshot(initial_mask_id=initial_mask_id, area=area)

    def apply_clicks(
        self, snapshot: ObjectSnapshot, clicks: Iterable[Click]
    ) -> ObjectSnapshot:
        """Make clicks one after the other, and store the last prediction.

        Args:
            snapshot: Object before the clicks.
            clicks: Clicks to add, in order.

        Returns:
            The object after the clicks.
        """
        all_clicks, state, prediction = (
            snapshot.clicks,
            self.render_snapshot(snapshot),
            None,
        )
        # One prediction per click, each from the mask before it, as a user makes them.
        for click in clicks:
            all_clicks = (*all_clicks, click)
            prediction = self._engine.predict(self._device_image, all_clicks, state)
            state = self._engine.paste_prediction(self._device_image, prediction)
        if prediction is None:  # no click to add
            return snapshot
        # Only the last prediction is needed: it restores the mask on its own.
        array_id = self._take_array_id()
        self._storage.write_prediction(array_id, prediction.prob)
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

    def store_mask(self, mask: Bool[np.ndarray, "h w"]) -> ObjectSnapshot:
        """Store an uploaded or painted mask, and return its snapshot.

        Args:
            mask: [h w] object pixels.

        Raises:
            RequestRejected: The mask is empty.
        """
        if not mask.any():
            raise RequestRejected(
                "the mask is empty, expected an object; reset the object instead"
            )
        array_id = self._take_array_id()
        self._storage.write_mask(array_id, mask)
        return ObjectSnapshot(initial_mask_id=array_id, area=int(mask.sum()))

    def render_snapshot(self, snapshot: ObjectSnapshot) -> MaskState:
        """Return the mask of a snapshot and cache it.

        Args:
            snapshot: Object to render.
        """
        if snapshot != self._cached[0]:
            self._cached = (snapshot, self.render_uncached(snapshot))
        return self._cached[1]

    def render_uncached(self, snapshot: ObjectSnapshot) -> MaskState:
        """Return the mask of a snapshot from disk; the cache stays unchanged.

        Args:
            snapshot: Object to render.
        """
        # The newest array decides: prediction, then initial mask, then nothing.
        if snapshot.prediction_id is not None:
            prob = self._storage.read_prediction(snapshot.prediction_id)
            prediction = RoiPrediction(prob, np.array(snapshot.roi, np.int32))
            return self._engine.paste_prediction(self._device_image, prediction)
        if snapshot.initial_mask_id is not None:
            mask = self._storage.read_mask(snapshot.initial_mask_id)
            return self._engine.state_from_mask(self._device_image, mask)
        return self._engine.empty_state(self._device_image)

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
        return self._engine.token_boxes(self._device_image, snapshot.clicks, state)

    def _take_array_id(self) -> int:
        self.next_array_id += 1
        return self.next_array_id - 1
