"""Collect clicks that arrive while the network is busy, and run them in one pass."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from mst_jax.annotation.serving.compiled_steps import NetworkInput

BATCH_SIZES = (1, 2, 4, 8)
"""Batch sizes of a pass: each is a compiled program; other sizes are filled up."""

CropProb = Float[np.ndarray, "i j"]
RunBatch = Callable[[tuple[NetworkInput, ...]], Float[Array | np.ndarray, "b i j"]]


class _PendingInput(NamedTuple):
    """An input that waits for a pass, and the future of its result."""

    network_input: NetworkInput
    result: Future[CropProb]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network_input.crop.shape


class MicroBatcher:
    """One thread runs the network; any number of threads wait for its results."""

    def __init__(
        self,
        run_batch: RunBatch,
        compiled_batch_sizes: Callable[[tuple[int, ...]], Sequence[int]],
    ) -> None:
        """Start the thread.

        Args:
            run_batch: Runs the network on inputs of the same size.
            compiled_batch_sizes: Shape of a crop -> the batch sizes whose programs are
                compiled. Batch size 1 is always allowed.
        """
        self._run_batch = run_batch
        self._compiled_batch_sizes = compiled_batch_sizes
        self._pending: list[_PendingInput] = []
        self._new_input = threading.Condition()
        threading.Thread(target=self._run_forever, daemon=True).start()

    def predict(self, network_input: NetworkInput) -> CropProb:
        """Return the probability of a crop; waits for a pass.

        Args:
            network_input: Input for one click.
        """
        # The thread of the request sleeps until the batching thread sets the result.
        result: Future[CropProb] = Future()
        with self._new_input:
            self._pending.append(_PendingInput(network_input, result))
            self._new_input.notify()
        return result.result()

    def _run_forever(self) -> None:
        while True:
            batch = self._take_batch()
            try:
                crop_probs = self._run_filled(
                    [pending_input.network_input for pending_input in batch]
                )
            except Exception as error:  # raised in the waiting threads, not in this one
                for pending_input in batch:
                    pending_input.result.set_exception(error)
                continue
            for pending_input, prob in zip(batch, crop_probs, strict=True):
                pending_input.result.set_result(prob)

    def _take_batch(self) -> list[_PendingInput]:
        """Wait for an input, and take the pending inputs of the same shape with it."""
        with self._new_input:
            self._new_input.wait_for(lambda: self._pending)
            # The oldest input decides on the shape, so that none waits forever.
            shape = self._pending[0].shape
            max_batch_size = max(self._compiled_batch_sizes(shape), default=1)
            batch, other_inputs = [], []
            for pending_input in self._pending:
                fits_batch = (
                    pending_input.shape == shape and len(batch) < max_batch_size
                )
                (batch if fits_batch else other_inputs).append(pending_input)
            self._pending = other_inputs
            return batch

    def _run_filled(self, inputs: list[NetworkInput]) -> list[CropProb]:
        """Fill a batch up to the next compiled size, and run it."""
        batch_sizes = {1, *self._compiled_batch_sizes(inputs[0].crop.shape)}
        batch_size = min(
            compiled_size
            for compiled_size in batch_sizes
            if compiled_size >= len(inputs)
        )
        # Copies of the first input; their results are dropped.
        filled_inputs = inputs + inputs[:1] * (batch_size - len(inputs))
        return list(np.asarray(self._run_batch(tuple(filled_inputs))))[: len(inputs)]
