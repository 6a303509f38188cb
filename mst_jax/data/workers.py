"""Run data-loading processes that ignore Ctrl-C and SIGTERM and exit with their parent.

A terminal sends Ctrl-C to every process of a command, a scheduler SIGTERM. Only the
parent decides what it means: it saves first, and still needs its workers for that.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import cv2

from mst_jax.extras import needs_extra

with needs_extra("train"):
    import grain

# Signals that the parent alone handles.
PARENT_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_workers(worker_iterator: grain.DatasetIterator) -> None:
    """Start the processes of an iterator, shielded from Ctrl-C even while they start.

    Args:
        worker_iterator: Iterator of a dataset with `mp_prefetch`.
    """
    # Makes the iterators, one for each process.
    worker_iterator.get_state()
    # A process inherits what is blocked, long before it can ignore anything itself.
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_SIGNALS)
    try:
        worker_iterator.start_prefetch()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def exit_with_parent(worker_index: int, worker_count: int) -> None:
    """Make a worker ignore the parent's signals and exit together with the parent.

    Args:
        worker_index: Index of the worker, from 0; Grain passes it.
        worker_count: Number of workers; Grain passes it.
    """
    del worker_index, worker_count
    # A worker is one of several: OpenCV gets no threads of its own there.
    cv2.setNumThreads(1)
    for signal_number in PARENT_SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    """End this process as soon as its parent has ended."""
    parent_process = multiprocessing.parent_process()
    # The main process has no parent to wait for.
    if parent_process is None:
        return
    parent_process.join()
    # Not sys.exit: that would end this thread only.
    os._exit(1)
