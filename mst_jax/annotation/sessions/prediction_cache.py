"""Predictions of the network that clicks continue from, kept in memory only."""

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from mst_jax.annotation.serving.compiled_steps import RoiPrediction
from mst_jax.inference.click_session import Click

_MAX_BYTES = 256 * 2**20


class PredictionKey(NamedTuple):
    """What determines a prediction, as long as the model is the same.

    Attributes:
        session_id: Session of the object.
        initial_mask_id: ID of the mask that the clicks correct; None = no mask.
        clicks: All clicks, in the order they were made.
    """

    session_id: str
    initial_mask_id: int | None
    clicks: tuple[Click, ...]


class PredictionCache:
    """The most recently used predictions of all sessions; thread-safe.

    A prediction has hundreds of kilobytes, its mask about one. So the database holds
    the masks, and a prediction that is no longer here is computed again.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        """Start without predictions.

        Args:
            max_bytes: Maximum number of bytes of all predictions.
        """
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._lock = threading.Lock()
        self._predictions: OrderedDict[PredictionKey, RoiPrediction] = OrderedDict()

    def get(self, key: PredictionKey) -> RoiPrediction | None:
        """Return a prediction; None if it is not here.

        Args:
            key: Session, initial mask and clicks.
        """
        with self._lock:
            if key not in self._predictions:
                return None
            self._predictions.move_to_end(key)
            return self._predictions[key]

    def put(self, key: PredictionKey, prediction: RoiPrediction) -> None:
        """Add a prediction; those that were not used for longest are dropped.

        Args:
            key: Session, initial mask and clicks.
            prediction: Result of the network for them.
        """
        # A copy: the prediction is a view of its batch, which may be larger.
        prediction = RoiPrediction(np.array(prediction.prob), prediction.roi)
        with self._lock:
            replaced = self._predictions.pop(key, None)
            self._num_bytes -= 0 if replaced is None else replaced.prob.nbytes
            self._predictions[key] = prediction
            self._num_bytes += prediction.prob.nbytes
            while self._num_bytes > self._max_bytes:
                _, dropped = self._predictions.popitem(last=False)
                self._num_bytes -= dropped.prob.nbytes
