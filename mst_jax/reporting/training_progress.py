"""Show on stderr how a training run goes: sentences, waiting time, a progress bar."""

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
from tqdm import tqdm

COMPILE_TEXT = (
    "first batch, compiling the training step (usually 1 to 5 minutes, less if the "
    "program is cached)"
)

# Seconds between two lines about the time that has passed; in a terminal one line
# counts the seconds.
LINE_SECONDS, TERMINAL_SECONDS = 60.0, 1.0


class TrainingProgress:
    """What people read on stderr while a run trains; only the main process writes.

    The bar opens after the first step, which waits for the compiler, so that its
    estimate of the remaining time is that of the later steps.
    """

    def __init__(self, *, is_shown: bool) -> None:
        """Show nothing yet.

        Args:
            is_shown: Whether anything is written; False in all but one process.
        """
        self._is_shown = is_shown
        self._bar: tqdm | None = None
        self._is_first_done = threading.Event()

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, text: str | None) -> None:
        """Write a line; None = nothing.

        Args:
            text: One sentence.
        """
        if self._is_shown and text is not None:
            tqdm.write(text, sys.stderr)

    def start_steps(self, *, title: str, num_steps: int, first_step: int) -> None:
        """Show how long the first step takes, unless there is none.

        Args:
            title: Title of the bar.
            num_steps: Number of updates of the whole run.
            first_step: Step that the run resumes after; 0 = a new run.
        """
        self._title, self._num_steps, self._step = title, num_steps, first_step
        self._start_time = time.perf_counter()
        if self._is_shown and first_step < num_steps:
            self.write(COMPILE_TEXT)
            threading.Thread(target=self._report_time, daemon=True).start()

    def finish_step(self, loss: Any) -> None:
        """Move the bar by one step; the first call waits for its step.

        Args:
            loss: Loss of the step, which runs asynchronously.
        """
        self._step += 1
        if not self._is_first_done.is_set():
            jax.block_until_ready(loss)
            self._is_first_done.set()
            self.write(f"first step done after {self._elapsed()}")
            self._bar = tqdm(
                total=self._num_steps,
                initial=self._step,
                unit="step",
                desc=self._title,
                dynamic_ncols=True,
                disable=not self._is_shown,
            )
        elif self._bar is not None:
            self._bar.update()

    def show_metrics(self, metrics: Mapping[str, float]) -> None:
        """Show the loss and the IoU beside the bar.

        Args:
            metrics: Means of the metrics since the last log.
        """
        if self._bar is not None:
            self._bar.set_postfix(
                loss=f"{metrics['loss']:.4f}", iou=f"{metrics['iou']:.3f}"
            )

    def close(self) -> None:
        """Close the bar and stop counting the time."""
        self._is_first_done.set()
        if self._bar is not None:
            self._bar.close()

    def _elapsed(self) -> str:
        """Return the time since `start_steps`, such as 01:23."""
        return tqdm.format_interval(time.perf_counter() - self._start_time)

    def _report_time(self) -> None:
        """Write the time that has passed until the first step is done."""
        is_terminal = sys.stderr.isatty()
        seconds = TERMINAL_SECONDS if is_terminal else LINE_SECONDS
        while not self._is_first_done.wait(seconds):
            if is_terminal:
                sys.stderr.write(f"\r{self._elapsed()} ")
                sys.stderr.flush()
            else:
                self.write(f"compiling: {self._elapsed()}")
