"""Processes that load data: deaf to Ctrl-C and SIGTERM, and gone when their parent is.

A terminal sends Ctrl-C to every process of a command, a scheduler SIGTERM. The parent
alone decides what it means: it saves first, and still needs its workers for that.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import cv2
import grain

FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM)


def start_workers(batches: grain.DatasetIterator) -> None:
    """Starts the processes of a stream, which no Ctrl-C reaches even as they start."""
    batches.get_state()  # makes the iterators, one for each process
    # A process inherits what is blocked, long before it can ignore anything itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_PARENT)
    try:
        batches.start_prefetch()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tie_to_parent(index: int, count: int) -> None:
    """First deed of worker `index` of `count`: ignore what the parent hears, end with it.

    A worker is one of several: OpenCV gets no threads of its own there.
    """
    del index, count
    cv2.setNumThreads(1)
    for number in FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
