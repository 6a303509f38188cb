"""What was done to an object: frozen, so that undo and redo are exact.

An action makes a new moment and keeps the old ones. Moments hold no arrays, only the
numbers of the files that hold them: what is here is small, and JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mst_jax.inference.click_session import Click

NOWHERE = (-1, -1, -1, -1)


@dataclasses.dataclass(frozen=True)
class Moment:
    """An object as it stood after an action.

    Attributes:
        clicks: in the order they were made.
        loaded: number of the mask that they correct; None: they began with nothing.
        seen: number of what the network said last; None before the first click.
        region: part of the picture that it saw: top, bottom, left, right, inclusive.
        area: pixels of the mask.
    """

    clicks: tuple[Click, ...] = ()
    loaded: int | None = None
    seen: int | None = None
    region: tuple[int, int, int, int] = NOWHERE
    area: int = 0

    @classmethod
    def from_json(cls, tree: Mapping) -> Moment:
        """Reads what `dataclasses.asdict` and JSON made of a moment."""
        clicks = tuple(Click(*click) for click in tree["clicks"])
        return cls(**{**tree, "clicks": clicks, "region": tuple(tree["region"])})


@dataclasses.dataclass(frozen=True)
class Drawn:
    """An object of a picture, with its past and what was taken back.

    Attributes:
        number: from 1; never given twice in a session.
        name: as the user calls it.
        colour: such as "#2c82ff".
        finished: does the user say so?
        moments: the oldest first, at least one.
        at: number of the present one.
        version: grows with every change of the mask.
    """

    number: int
    name: str
    colour: str
    finished: bool = False
    moments: tuple[Moment, ...] = (Moment(),)
    at: int = 0
    version: int = 0

    @classmethod
    def from_json(cls, tree: Mapping) -> Drawn:
        """Reads what `dataclasses.asdict` and JSON made of an object."""
        moments = tuple(map(Moment.from_json, tree["moments"]))
        return cls(**{**tree, "moments": moments})

    @property
    def present(self) -> Moment:
        """How it stands."""
        return self.moments[self.at]

    @property
    def can_undo(self) -> bool:
        """Is there an action to take back?"""
        return self.at > 0

    @property
    def can_redo(self) -> bool:
        """Was an action taken back, and nothing done since?"""
        return self.at + 1 < len(self.moments)

    def then(self, moment: Moment, *, most: int) -> Drawn:
        """Goes on to a new moment; forgets what was taken back, and the oldest."""
        moments = (*self.moments[: self.at + 1], moment)[-most:]
        return self._changed(moments=moments, at=len(moments) - 1)

    def undo(self) -> Drawn:
        """Takes the last action back; without one it returns itself."""
        return self._changed(at=self.at - 1) if self.can_undo else self

    def redo(self) -> Drawn:
        """Does again what was taken back last; if nothing was, it returns itself."""
        return self._changed(at=self.at + 1) if self.can_redo else self

    def files(self) -> set[int]:
        """Numbers of all files that its moments need."""
        numbers = {number for m in self.moments for number in (m.loaded, m.seen)}
        return numbers - {None}

    def _changed(self, **changes: object) -> Drawn:
        return dataclasses.replace(self, version=self.version + 1, **changes)
