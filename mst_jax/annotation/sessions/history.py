"""Annotated objects and their history: immutable, so that undo and redo are exact.

Every change of a mask appends a snapshot and keeps the earlier ones; name, color and
state are not part of the history. Snapshots hold no arrays, only the IDs of the files
that hold them, so that they are small and can be written as JSON.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mst_jax.inference.click_session import Click

NO_ROI = (-1, -1, -1, -1)
"""Region of interest before the first click, and without zoom."""


@dataclasses.dataclass(frozen=True)
class ObjectSnapshot:
    """State of an object after a change of its mask.

    Attributes:
        clicks: Clicks in the order they were made.
        initial_mask_id: Array ID of the mask that the clicks correct; None = they began
            without a mask.
        prediction_id: Array ID of the network's last prediction; None = no click yet.
        roi: Region of interest of the last prediction: top, bottom, left, right,
            inclusive, in pixels.
        area: Number of pixels of the mask.
    """

    clicks: tuple[Click, ...] = ()
    initial_mask_id: int | None = None
    prediction_id: int | None = None
    roi: tuple[int, int, int, int] = NO_ROI
    area: int = 0

    @classmethod
    def from_json(cls, json_tree: Mapping[str, Any]) -> "ObjectSnapshot":
        """Build a snapshot from JSON.

        Args:
            json_tree: What `dataclasses.asdict` and JSON make of a snapshot.
        """
        # JSON has lists only: clicks and tuples are restored.
        clicks = tuple(Click(*click) for click in json_tree["clicks"])
        return cls(**{**json_tree, "clicks": clicks, "roi": tuple(json_tree["roi"])})


@dataclasses.dataclass(frozen=True)
class AnnotatedObject:
    """An object of an image with its history, including undone actions.

    Attributes:
        object_id: ID from 1; never reused in a session.
        name: Name given by the user.
        color: Color such as "#2c82ff".
        finished: True once the user has marked the object as finished.
        snapshots: History, oldest first; at least one snapshot.
        current_index: Index of the current snapshot; the later ones are undone.
        version: Number that grows with every change of the mask.
    """

    object_id: int
    name: str
    color: str
    finished: bool = False
    snapshots: tuple[ObjectSnapshot, ...] = (ObjectSnapshot(),)
    current_index: int = 0
    version: int = 0

    @classmethod
    def from_json(cls, json_tree: Mapping[str, Any]) -> "AnnotatedObject":
        """Build an object from JSON.

        Args:
            json_tree: What `dataclasses.asdict` and JSON make of an object.
        """
        snapshots = tuple(map(ObjectSnapshot.from_json, json_tree["snapshots"]))
        return cls(**{**json_tree, "snapshots": snapshots})

    @property
    def current_snapshot(self) -> ObjectSnapshot:
        """The current snapshot."""
        return self.snapshots[self.current_index]

    @property
    def can_undo(self) -> bool:
        """True if there is an action to undo."""
        return self.current_index > 0

    @property
    def can_redo(self) -> bool:
        """True if an action was undone and nothing was done since."""
        return self.current_index + 1 < len(self.snapshots)

    def append_snapshot(
        self, snapshot: ObjectSnapshot, *, max_snapshots: int
    ) -> "AnnotatedObject":
        """Append a snapshot; undone snapshots are dropped.

        Args:
            snapshot: The object after a new action.
            max_snapshots: Number of snapshots to keep; the oldest are dropped.
        """
        # 1. A new action ends the redo history. 2. Long histories lose their beginning.
        kept_snapshots = self.snapshots[: self.current_index + 1]
        snapshots = (*kept_snapshots, snapshot)[-max_snapshots:]
        return self._with_changes(snapshots=snapshots, current_index=len(snapshots) - 1)

    def undo(self) -> "AnnotatedObject":
        """Undo the last action; without one return the object unchanged."""
        return (
            self._with_changes(current_index=self.current_index - 1)
            if self.can_undo
            else self
        )

    def redo(self) -> "AnnotatedObject":
        """Redo the action undone last; without one return the object unchanged."""
        return (
            self._with_changes(current_index=self.current_index + 1)
            if self.can_redo
            else self
        )

    def array_ids(self) -> set[int]:
        """Return the IDs of all array files that the snapshots need."""
        return {
            array_id
            for snapshot in self.snapshots
            for array_id in (snapshot.initial_mask_id, snapshot.prediction_id)
            if array_id is not None
        }

    def _with_changes(self, **changes: Any) -> "AnnotatedObject":
        # Every change of the history is a change of the mask, so the version grows.
        return dataclasses.replace(self, version=self.version + 1, **changes)
