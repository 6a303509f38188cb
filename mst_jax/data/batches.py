"""The batches of one host, one after the other, from any place of the stream."""

from __future__ import annotations

import os

import grain
import numpy as np
from absl import flags

from mst_jax.data.workers import start_workers, tie_to_parent

READY = 4  # examples that wait for a batch; Grain holds 500, gigabytes at 448 pixels
READY_BATCHES = 2  # of each worker


class Batches(grain.DatasetIterator):
    """Endless batches; the place is the number of batches taken, whoever makes them.

    So a run may go on with another number of workers than it began with. The workers
    start with the first batch, or with `start_prefetch`.
    """

    def __init__(self, stream: grain.MapDataset, *, num_workers: int) -> None:
        super().__init__()
        self._stream, self._num_workers = stream, num_workers
        self._taken, self._ahead = 0, None

    def __next__(self) -> dict[str, np.ndarray]:
        """Takes a batch."""
        self.start_prefetch()
        batch = next(self._ahead)
        self._taken += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Returns the place."""
        return {"taken": self._taken}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to a place that `get_state` returned."""
        self._stop()
        self._taken = state["taken"]

    def go_to(self, taken: int) -> None:
        """Goes to where so many batches have been taken."""
        self.set_state({"taken": taken})

    def start_prefetch(self) -> None:
        """Starts to make the next batches, if that has not been done."""
        if self._ahead is None:
            self._ahead = _open(self._stream[self._taken :], self._num_workers)

    def close(self) -> None:
        """Ends the workers; the next batch would start them again."""
        self._stop()
        super().close()

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = None


def _open(stream: grain.MapDataset, num_workers: int) -> grain.DatasetIterator:
    """Starts to make the batches of a stream, in threads or in processes."""
    num_threads = min(4, os.cpu_count() or 1) if num_workers == 0 else 1
    reading = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=READY)
    batches = stream.to_iter_dataset(reading)
    if num_workers == 0:
        return iter(batches)
    if not flags.FLAGS.is_parsed():  # Grain reads its own absl flags for workers
        flags.FLAGS.mark_as_parsed()
    workers = grain.MultiprocessingOptions(
        num_workers=num_workers, per_worker_buffer_size=READY_BATCHES
    )
    batches = iter(batches.mp_prefetch(workers, worker_init_fn=tie_to_parent))
    start_workers(batches)
    return batches
