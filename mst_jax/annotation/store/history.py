"""Annotated objects and their history: immutable, so that undo and redo are exact.

Every change of a mask appends a snapshot and keeps the earlier ones; label, color and
state are not part of the history. Snapshots hold no masks, only the IDs of the stored
masks, so that they are small and can be written as JSON.
"""

import dataclasses
from typing import Any

from mst_jax.inference.click_session import Click

DEFAULT_COLORS = (
    *("#2c82ff", "#ff9f1c", "#2ec4b6", "#e71d36"),
    *("#9b5de5", "#8ac926", "#f15bb5"),
)
"""Colors of objects without a color of the user's choice, in turn."""


@dataclasses.dataclass(frozen=True)
class ObjectSnapshot:
    """State of an object after a change of its mask.

    Attributes:
        clicks: Clicks in the order they were made.
        initial_mask_id: ID of the mask that the clicks correct; None = they began
            without a mask.
        mask_id: ID of the mask after the last click; None = no click yet.
        area: Number of pixels of the mask.
    """

    clicks: tuple[Click, ...] = ()
    initial_mask_id: int | None = None
    mask_id: int | None = None
    area: int = 0


@dataclasses.dataclass(frozen=True)
class AnnotatedObject:
    """An object of an image with its history, including undone actions.

    Attributes:
        object_id: ID from 1; never reused in a session.
        label_id: ID of the label, see `LabelList`; None = no label.
        color: Color such as "#2c82ff".
        finished: True once the user has marked the object as finished.
        snapshots: History, oldest first; at least one snapshot.
        current_index: Index of the current snapshot; the later ones are undone.
        num_dropped: Number of older snapshots that the history has lost.
        version: Number that grows with every change of the mask.
        revision: Revision of the session at the last change of the object.
        saved_version: Version of the mask that the exports contain, which is that of
            the last time the object was finished; None = not in the exports.
    """

    object_id: int
    label_id: int | None
    color: str
    finished: bool = False
    snapshots: tuple[ObjectSnapshot, ...] = (ObjectSnapshot(),)
    current_index: int = 0
    num_dropped: int = 0
    version: int = 0
    revision: int = 0
    saved_version: int | None = None

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
        all_snapshots = (*kept_snapshots, snapshot)
        snapshots = all_snapshots[-max_snapshots:]
        return self._with_changes(
            snapshots=snapshots,
            current_index=len(snapshots) - 1,
            num_dropped=self.num_dropped + len(all_snapshots) - len(snapshots),
        )

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

    def mask_ids(self) -> set[int]:
        """Return the IDs of all stored masks that the snapshots need."""
        return {
            mask_id
            for snapshot in self.snapshots
            for mask_id in (snapshot.initial_mask_id, snapshot.mask_id)
            if mask_id is not None
        }

    def _with_changes(self, **changes: Any) -> "AnnotatedObject":
        # Every change of the history is a change of the mask, so the version grows.
        return dataclasses.replace(self, version=self.version + 1, **changes)


def default_color(object_id: int) -> str:
    """Return the color of an object for which no color was chosen.

    Args:
        object_id: ID of the object.
    """
    return DEFAULT_COLORS[(object_id - 1) % len(DEFAULT_COLORS)]
