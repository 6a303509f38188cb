"""Iterate over the batches of one host, from any position of the stream."""

from __future__ import annotations

import os

import numpy as np
from absl import flags

from mst_jax.data.workers import exit_with_parent, start_workers
from mst_jax.extras import needs_extra

with needs_extra("train"):
    import grain

# Examples that wait for a batch; Grain holds 500, gigabytes at 448 pixels.
PREFETCH_EXAMPLES = 4

# Batches that wait in each worker.
PREFETCH_BATCHES = 2


class BatchIterator(grain.DatasetIterator):
    """Endless batches; the position is the number of batches returned.

    The position does not depend on who makes the batches: a run may resume with another
    number of workers than it began with. The workers start with the first batch, or with
    `start_prefetch`.
    """

    def __init__(self, stream: grain.MapDataset, *, num_workers: int) -> None:
        super().__init__()
        self._stream, self._num_workers = stream, num_workers
        self._num_returned = 0
        self._prefetched: grain.DatasetIterator | None = None

    def __next__(self) -> dict[str, np.ndarray]:
        """Return the next batch."""
        next_batch = next(self._open_prefetched())
        self._num_returned += 1
        return next_batch

    def get_state(self) -> dict[str, int]:
        """Return the position."""
        return {"num_batches": self._num_returned}

    def set_state(self, state: dict[str, int]) -> None:
        """Go to a position that `get_state` returned."""
        self._stop_prefetch()
        self._num_returned = state["num_batches"]

    def seek(self, num_batches: int) -> None:
        """Go to the position after `num_batches` batches."""
        self.set_state({"num_batches": num_batches})

    def start_prefetch(self) -> None:
        """Start to make the next batches, unless that has been done."""
        self._open_prefetched()

    def close(self) -> None:
        """End the workers; the next batch would start them again."""
        self._stop_prefetch()
        super().close()

    def _open_prefetched(self) -> grain.DatasetIterator:
        """Return the iterator that makes batches from the position on."""
        # From the position on: what was returned is not made again.
        if self._prefetched is None:
            remaining_stream = self._stream[self._num_returned :]
            self._prefetched = _prefetch_batches(remaining_stream, self._num_workers)
        return self._prefetched

    def _stop_prefetch(self) -> None:
        """End the workers and drop the batches that they prepared."""
        if self._prefetched is not None:
            self._prefetched.close()
        self._prefetched = None


def _prefetch_batches(
    stream: grain.MapDataset, num_workers: int
) -> grain.DatasetIterator:
    """Start to make the batches of a stream, in threads or in processes."""
    # With processes, each of them reads with one thread.
    num_threads = min(4, os.cpu_count() or 1) if num_workers == 0 else 1
    read_options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=PREFETCH_EXAMPLES
    )
    iter_dataset = stream.to_iter_dataset(read_options)
    if num_workers == 0:
        return iter(iter_dataset)
    # Grain reads its own absl flags for workers.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    worker_options = grain.MultiprocessingOptions(
        num_workers=num_workers, per_worker_buffer_size=PREFETCH_BATCHES
    )
    worker_iterator = iter(
        iter_dataset.mp_prefetch(worker_options, worker_init_fn=exit_with_parent)
    )
    start_workers(worker_iterator)
    return worker_iterator
