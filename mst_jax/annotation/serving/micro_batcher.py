"""Clicks that come while the network is busy wait together, then share one pass."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from jaxtyping import Float

from mst_jax.annotation.serving.compiled_steps import Framed

BATCHES = (1, 2, 4, 8)
"""Sizes of a pass: each is a program, fuller sizes are filled up."""

Patch = Float[np.ndarray, "i j"]
Run = Callable[[tuple[Framed, ...]], Float[np.ndarray, "b i j"]]


class Batcher:
    """One thread that asks the network; any number of threads that wait for it."""

    def __init__(self, run: Run, sizes: Callable[[tuple[int, ...]], list[int]]) -> None:
        """Takes what runs a pass, and which sizes are ready for layers of a shape.

        The smallest size, 1, may always be run.
        """
        self._run, self._sizes = run, sizes
        self._waiting: list[tuple[Framed, Future]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def ask(self, framed: Framed) -> Patch:
        """Waits for a pass and returns the probability of what was framed."""
        answer: Future = Future()
        with self._changed:
            self._waiting.append((framed, answer))
            self._changed.notify()
        return answer.result()

    def _serve(self) -> None:
        while True:
            company = self._gather()
            try:
                patches = self._look([framed for framed, _ in company])
            except Exception as error:  # of those who wait, not of this thread
                for _, answer in company:
                    answer.set_exception(error)
                continue
            for (_, answer), patch in zip(company, patches, strict=True):
                answer.set_result(patch)

    def _gather(self) -> list[tuple[Framed, Future]]:
        """Waits for someone, and takes those along who see as much."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            shape = self._waiting[0][0].layers.shape
            most = max(self._sizes(shape), default=1)
            company, others = [], []
            for item in self._waiting:
                fits = item[0].layers.shape == shape and len(company) < most
                (company if fits else others).append(item)
            self._waiting = others
            return company

    def _look(self, framed: list[Framed]) -> list[Patch]:
        sizes = {1, *self._sizes(framed[0].layers.shape)}
        size = min(size for size in sizes if size >= len(framed))
        filled = framed + framed[:1] * (size - len(framed))
        return list(np.asarray(self._run(tuple(filled))))[: len(framed)]
