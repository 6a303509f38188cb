"""Clicks that come while the network is busy wait together, then share one pass."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from jaxtyping import Float

from mst_jax.demo.programs import Framed

BATCHES = (1, 2, 4, 8)
"""Sizes of a pass: each is a program, fuller sizes are filled up."""

Patch = Float[np.ndarray, "i j"]
Run = Callable[[tuple[Framed, ...]], Float[np.ndarray, "b i j"]]


class Batcher:
    """One thread that asks the network; any number of threads that wait for it."""

    def __init__(self, run: Run) -> None:
        """Takes what runs a pass of one of the sizes."""
        self._run = run
        self._waiting: list[tuple[Framed, Future]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def ask(self, framed: Framed) -> Patch:
        """Waits for a pass and returns the probability of what was framed."""
        answer: Future = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the network was closed")
            self._waiting.append((framed, answer))
            self._changed.notify()
        return answer.result()

    def close(self) -> None:
        """Answers those who wait, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while company := self._gather():
            try:
                patches = self._look([framed for framed, _ in company])
            except Exception as error:  # of those who wait, not of this thread
                for _, answer in company:
                    answer.set_exception(error)
                continue
            for (_, answer), patch in zip(company, patches, strict=True):
                answer.set_result(patch)

    def _gather(self) -> list[tuple[Framed, Future]]:
        """Waits for someone, and takes those along who fit; nobody after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            company, others = [], []
            for item in self._waiting:
                fits = item[0].layers.shape == self._waiting[0][0].layers.shape
                (company if fits and len(company) < BATCHES[-1] else others).append(
                    item
                )
            self._waiting = others
            return company

    def _look(self, framed: list[Framed]) -> list[Patch]:
        size = next(size for size in BATCHES if size >= len(framed))
        filled = framed + framed[:1] * (size - len(framed))
        return list(np.asarray(self._run(tuple(filled))))[: len(framed)]
