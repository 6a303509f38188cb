"""State of one user's clicks on one image, immutable, so that undo and redo are exact.

Every action creates a new state and keeps the old ones; nothing is computed twice or
changed in place. A state keeps its probability map on the device: 4 bytes per pixel.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, SupportsFloat

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.geometry.binary_masks import as_binary_mask
from mst_jax.interaction.padding import pad_to
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks

NUM_SLOTS = 24
"""Number of click slots at the start of a session, as many as in training."""


class Click(NamedTuple):
    """One click, in pixels of the image; fractions are legal."""

    row: float
    column: float
    is_positive: bool


@dataclasses.dataclass(frozen=True, eq=False)
class SessionState:
    """State of an image after an action.

    Attributes:
        clicks: Clicks on the current object, in order.
        prob: [1 h w] probability of the current object; 0 at first and on padding.
        roi: [1 4] region of interest of the last prediction, see
            `interaction.zoom.next_roi`.
        finished: Masks [height width] of the finished objects, read-only.
    """

    clicks: tuple[Click, ...]
    prob: Float[Array, "1 h w"]
    roi: Int[Array, "1 4"]
    finished: tuple[Bool[np.ndarray, "height width"], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class ClickSession:
    """An image, its current state, and the states for undo and redo.

    Attributes:
        image: [1 h w 3] RGB on the device; the image fills the upper left corner.
        height: Height of the image without padding.
        width: Width of the image without padding.
        current: Current state.
        past: Earlier states, oldest first.
        future: Undone states, the next one to redo last.
    """

    image: UInt8[Array, "1 h w 3"]
    height: int
    width: int
    current: SessionState
    past: tuple[SessionState, ...] = ()
    future: tuple[SessionState, ...] = ()

    @classmethod
    def start(
        cls, image: UInt8[Array, "1 h w 3"], height: int, width: int
    ) -> ClickSession:
        """Start a session without clicks.

        Args:
            image: [1 h w 3] RGB on the device; the image fills the upper left corner.
            height: Height of the image without padding.
            width: Width of the image without padding.
        """
        return cls(image, height, width, current=initial_state(image))

    @property
    def prob(self) -> Float[np.ndarray, "height width"]:
        """Probability of the current object without padding, 0 to 1, read-only."""
        return np.asarray(self.current.prob)[0, : self.height, : self.width]

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        """Mask of the current object; a new array at each access."""
        return self.prob > MASK_THRESHOLD

    def make_click(
        self, row: SupportsFloat, column: SupportsFloat, is_positive: Any
    ) -> Click:
        """Check a click without applying it.

        Args:
            row: Row of the click in pixels, 0 <= row < height.
            column: Column of the click in pixels, 0 <= column < width.
            is_positive: True or 1 = on the object, False or 0 = not on it.

        Raises:
            ValueError: The click is not a pair of numbers or lies outside the image, or
                `is_positive` is anything else.
        """
        label = np.asarray(is_positive)
        # -1, "negative" and None are not 0: bool() would make them positive or negative.
        if label.ndim or label.dtype.kind not in "biuf" or label not in (0, 1):
            raise ValueError(
                f"positive is {is_positive!r}, expected True or 1 = on the object, False "
                "or 0 = not on it"
            )
        try:
            click = Click(float(row), float(column), bool(label))
        except (TypeError, ValueError):
            raise ValueError(
                f"click at ({row!r}, {column!r}), expected two numbers: row and column"
            ) from None
        in_rows = 0 <= click.row < self.height
        if not (in_rows and 0 <= click.column < self.width):
            raise ValueError(
                f"click at row {click.row:g}, column {click.column:g} lies outside the "
                f"image of {self.height} rows and {self.width} columns"
            )
        return click

    def check_mask(self, mask: np.ndarray) -> Bool[np.ndarray, "height width"]:
        """Check an existing mask that replaces the clicks.

        Args:
            mask: [height width] True on the object, or one number there and 0 elsewhere.

        Raises:
            ValueError: Another shape, more than two values, or an empty mask.
        """
        # Size first: a wrong size is the most frequent mistake.
        if np.shape(mask) != (self.height, self.width):
            raise ValueError(
                f"mask is {list(np.shape(mask))}, expected {[self.height, self.width]} "
                "like the image; resize it"
            )
        binary_mask = as_binary_mask(mask, "mask")
        if not binary_mask.any():
            raise ValueError("mask is empty, expected an object; click instead")
        return binary_mask

    def state_from_prob(self, prob: Float[np.ndarray, "height width"]) -> SessionState:
        """Create a state without clicks whose last prediction is `prob`.

        Its region of interest is the whole image.

        Args:
            prob: [height width] probability of the object.
        """
        roi = np.array([[0, self.height - 1, 0, self.width - 1]], np.int32)
        _, padded_height, padded_width, _ = self.image.shape
        padded_prob = pad_to(prob, (padded_height, padded_width))
        return SessionState(
            clicks=(),
            prob=jax.device_put(padded_prob, self.image.sharding),
            roi=jax.device_put(roi, self.image.sharding),
            finished=self.current.finished,
        )

    def push_state(self, state: SessionState) -> ClickSession:
        """Append a new state and clear the states for redo."""
        past = (*self.past, self.current)
        return dataclasses.replace(self, current=state, past=past, future=())

    def undo(self) -> ClickSession:
        """Return to the previous state; without one the session stays unchanged."""
        if not self.past:
            return self
        *past, current = self.past
        future = (*self.future, self.current)
        return dataclasses.replace(
            self, current=current, past=tuple(past), future=future
        )

    def redo(self) -> ClickSession:
        """Restore the state that was undone last; without one nothing changes."""
        if not self.future:
            return self
        *future, current = self.future
        past = (*self.past, self.current)
        return dataclasses.replace(
            self, current=current, past=past, future=tuple(future)
        )


def initial_state(
    image: UInt8[Array, "1 h w 3"],
    finished: tuple[Bool[np.ndarray, "height width"], ...] = (),
) -> SessionState:
    """Create the state before the first click on an object: empty mask, no ROI.

    Args:
        image: [1 h w 3] padded image on the device.
        finished: Masks of the objects that are finished.
    """
    return SessionState(
        clicks=(),
        prob=jax.device_put(np.zeros(image.shape[:3], np.float32), image.sharding),
        roi=jax.device_put(np.full((1, 4), -1, np.int32), image.sharding),
        finished=finished,
    )


def to_click_slots(clicks: tuple[Click, ...]) -> Clicks:
    """Convert clicks to arrays [1 k], in order.

    A program is compiled for a number of slots, not for a number of clicks: there are
    `NUM_SLOTS` slots, doubled until all clicks fit.
    """
    # Doubling keeps the number of compiled programs logarithmic.
    num_slots = NUM_SLOTS
    while num_slots < len(clicks):
        num_slots *= 2
    yx = np.full((1, num_slots, 2), -1.0, np.float32)
    label = np.full((1, num_slots), EMPTY, np.int32)
    for slot, click in enumerate(clicks):
        yx[0, slot] = click.row, click.column
        label[0, slot] = POSITIVE if click.is_positive else NEGATIVE
    return Clicks(*jax.device_put((yx, label)))
