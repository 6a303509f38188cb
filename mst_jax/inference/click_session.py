"""What one user has done to one picture: frozen, so that undo and redo are exact.

Every action makes a new moment and keeps the old ones; nothing is ever computed anew or
changed in place. A moment keeps its probability map on the device: 4 bytes a pixel.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, SupportsFloat

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.structs import EMPTY, NEGATIVE, POSITIVE, Clicks

NUM_SLOTS = 24
"""Slots for clicks that every session begins with, as many as training has."""


class Click(NamedTuple):
    """One click, in pixels of the picture; fractions are legal."""

    row: float
    column: float
    is_positive: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """One picture as it stood after an action.

    Attributes:
        clicks: on the present object, in the order they were made.
        prob: [1 h w] probability of the present object, 0 at first and on padding.
        region: [1 4] what the network saw last, see `interaction.zoom.next_region`.
        finished: masks of the objects before, each [height width] and read-only.
    """

    clicks: tuple[Click, ...]
    prob: Float[Array, "1 h w"]
    region: Int[Array, "1 4"]
    finished: tuple[Bool[np.ndarray, "height width"], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """One picture, what was done to it, and what was taken back.

    Attributes:
        image: [1 h w 3] RGB on the device, the picture in its upper left corner.
        height: of the picture without padding.
        width: of the picture without padding.
        present: how it stands.
        past: the moments before, the oldest first.
        future: the moments taken back, the next one last.
    """

    image: UInt8[Array, "1 h w 3"]
    height: int
    width: int
    present: Moment
    past: tuple[Moment, ...] = ()
    future: tuple[Moment, ...] = ()

    @classmethod
    def start(cls, image: UInt8[Array, "1 h w 3"], height: int, width: int) -> Session:
        """Nothing done yet to the picture in the upper left corner of `image`."""
        return cls(image, height, width, present=untouched(image))

    @property
    def prob(self) -> Float[np.ndarray, "height width"]:
        """Probability of the present object without padding, 0 to 1, read-only."""
        return np.asarray(self.present.prob)[0, : self.height, : self.width]

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        """True where the present object is; a copy of its own."""
        return self.prob > THRESHOLD

    def click_at(
        self, row: SupportsFloat, column: SupportsFloat, is_positive: object
    ) -> Click:
        """A click, not yet made; ValueError unless it is a point in the picture."""
        try:
            click = Click(float(row), float(column), bool(is_positive))
        except (TypeError, ValueError):
            raise ValueError(
                f"click at ({row!r}, {column!r}), expected two numbers: row and column"
            ) from None
        in_rows = 0 <= click.row < self.height
        if not (in_rows and 0 <= click.column < self.width):
            raise ValueError(
                f"click at row {click.row:g}, column {click.column:g} lies outside the "
                f"picture of {self.height} rows and {self.width} columns"
            )
        return click

    def open_mask(self, mask: np.ndarray) -> Bool[np.ndarray, "height width"]:
        """Takes a mask to begin from.

        Args:
            mask: [height width] of the picture's size; what is not 0 is the object.

        Raises:
            ValueError: another shape, not finite numbers, or no object.
        """
        mask = np.asarray(mask)
        if mask.shape != (self.height, self.width):
            raise ValueError(
                f"mask is {list(mask.shape)}, expected {[self.height, self.width]} "
                "like the picture; resize it"
            )
        if mask.dtype.kind not in "biuf" or not np.isfinite(mask).all():
            raise ValueError(
                f"mask is {mask.dtype} with values that are no numbers, expected bool"
            )
        if not mask.any():
            raise ValueError("mask is empty, expected an object; click in place of it")
        return mask != 0

    def then(self, moment: Moment) -> Session:
        """Goes on to a new moment; what was taken back is forgotten."""
        past = (*self.past, self.present)
        return dataclasses.replace(self, present=moment, past=past, future=())

    def undo(self) -> Session:
        """Takes the last action back; without one it returns itself."""
        if not self.past:
            return self
        *past, present = self.past
        future = (*self.future, self.present)
        return dataclasses.replace(
            self, present=present, past=tuple(past), future=future
        )

    def redo(self) -> Session:
        """Does again what was taken back last; if nothing was, it returns itself."""
        if not self.future:
            return self
        *future, present = self.future
        past = (*self.past, self.present)
        return dataclasses.replace(
            self, present=present, past=past, future=tuple(future)
        )


def untouched(
    image: UInt8[Array, "1 h w 3"],
    finished: tuple[Bool[np.ndarray, "height width"], ...] = (),
) -> Moment:
    """The moment before the first click on an object: no mask, nothing seen yet."""
    return Moment(
        clicks=(),
        prob=jax.device_put(np.zeros(image.shape[:3], np.float32), image.sharding),
        region=jax.device_put(np.full((1, 4), -1, np.int32), image.sharding),
        finished=finished,
    )


def in_slots(clicks: tuple[Click, ...]) -> Clicks:
    """The clicks as arrays [1 k], in their order.

    There are `NUM_SLOTS` slots, and twice as many as often as that is not enough: a
    program is compiled for a number of slots, not for a number of clicks.
    """
    num_slots = NUM_SLOTS
    while num_slots < len(clicks):
        num_slots *= 2
    yx = np.full((1, num_slots, 2), -1.0, np.float32)
    label = np.full((1, num_slots), EMPTY, np.int32)
    for slot, click in enumerate(clicks):
        yx[0, slot] = click.row, click.column
        label[0, slot] = POSITIVE if click.is_positive else NEGATIVE
    return Clicks(*jax.device_put((yx, label)))
