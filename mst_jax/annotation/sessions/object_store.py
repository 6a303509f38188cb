"""The objects of one session: a copy in memory of what the database holds."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.run_lengths import encode_mask
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.store.history import (
    AnnotatedObject,
    ObjectSnapshot,
    default_color,
)
from mst_jax.annotation.store.session_change import SessionChange
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.data.example import IGNORE_LABEL

MaskFn = Callable[[ObjectSnapshot], Bool[np.ndarray, "h w"]]


class ObjectStore:
    """Objects by their IDs; every change is stored when its method returns.

    A change that cannot be stored leaves the objects as they were. Not thread-safe: the
    session holds its lock.

    Attributes:
        objects: Object ID -> object, in the order of the IDs.
        revision: Number that grows with every change of the session.
        request_key: Key of the request that the next change applies; None = no key.
    """

    def __init__(
        self,
        storage: SessionStorage,
        render_mask: MaskFn,
        notify_exporter: Callable[[], None],
        limits: Limits,
    ) -> None:
        """Load the objects.

        Args:
            storage: Rows of the session.
            render_mask: Returns the mask of a snapshot.
            notify_exporter: Called after a change of the finished masks.
            limits: Maximum numbers of objects and snapshots.

        Raises:
            RequestRejected: There is no such session (404), or it is damaged (409).
        """
        self.revision: int = storage.read_row()["revision"]
        self.objects = storage.read_objects()
        self.request_key: str | None = None
        self._storage, self._render_mask = storage, render_mask
        self._notify_exporter, self._limits = notify_exporter, limits
        # Deleted objects keep their IDs.
        self._known_ids = storage.read_known_ids()

    def get_object(self, object_id: int) -> AnnotatedObject:
        """Return an object.

        Raises:
            RequestRejected: The session has no such object (404).
        """
        if object_id not in self.objects:
            raise RequestRejected(f"this image has no object {object_id}", 404)
        return self.objects[object_id]

    def new_object(
        self, label_id: int | None = None, color: str | None = None
    ) -> AnnotatedObject:
        """Return a new object without clicks; it is not stored yet.

        Args:
            label_id: ID of its label; None = no label.
            color: Color such as "#2c82ff"; None = the next default color.
        """
        object_id = max(self._known_ids, default=0) + 1
        # Label maps have 16 bits, and their largest value means "ignored".
        if object_id >= IGNORE_LABEL:
            all_ids = set(range(1, IGNORE_LABEL))
            object_id = min(all_ids - self._known_ids, default=IGNORE_LABEL)
        if object_id >= IGNORE_LABEL:
            raise RequestRejected("the image has too many objects; remove some")
        self._known_ids.add(object_id)
        return AnnotatedObject(object_id, label_id, color or default_color(object_id))

    def check_num_objects(self, num_new: int) -> None:
        """Check that objects can be added.

        Args:
            num_new: Number of objects to add.

        Raises:
            RequestRejected: The image would have too many objects.
        """
        max_objects = self._limits.max_objects
        if len(self.objects) + num_new > max_objects:
            raise RequestRejected(
                f"the image has {len(self.objects)} objects and {num_new} more would be "
                f"added, the maximum is {max_objects}; remove some objects"
            )

    def append_snapshot(
        self, annotated_object: AnnotatedObject, snapshot: ObjectSnapshot
    ) -> AnnotatedObject:
        """Append a snapshot to the history of an object and store the object."""
        return self.store_object(self.extend_history(annotated_object, snapshot))

    def extend_history(
        self,
        annotated_object: AnnotatedObject,
        snapshot: ObjectSnapshot,
        *,
        finished: bool | None = None,
    ) -> AnnotatedObject:
        """Return an object with one more snapshot; it is not stored yet.

        Args:
            annotated_object: Object before the change.
            snapshot: Its new snapshot.
            finished: Whether it is finished then; None = as before.
        """
        extended = annotated_object.append_snapshot(
            snapshot, max_snapshots=self._limits.max_snapshots
        )
        if finished is None:
            return extended
        return dataclasses.replace(extended, finished=finished)

    def store_object(self, annotated_object: AnnotatedObject) -> AnnotatedObject:
        """Add or replace one object, see `store_objects`."""
        return self.store_objects([annotated_object])[0]

    def store_objects(
        self, new_objects: Sequence[AnnotatedObject]
    ) -> list[AnnotatedObject]:
        """Add or replace objects, as one change.

        The mask of a finished object is saved for the exports. An object that is no
        longer finished keeps its saved mask.

        Args:
            new_objects: Objects after the change.

        Returns:
            The objects as they are stored.
        """
        stored_objects, saved_masks, is_export_changed = [], {}, False
        for new_object in new_objects:
            object_id = new_object.object_id
            previous = self.objects.get(object_id)
            stored = dataclasses.replace(new_object, revision=self.revision + 1)
            if stored.finished:
                has_mask = stored.current_snapshot.area > 0
                saved_version = stored.version if has_mask else None
                if saved_version != stored.saved_version:
                    saved_masks[object_id] = (
                        encode_mask(self._render_mask(stored.current_snapshot))
                        if has_mask
                        else None
                    )
                    stored = dataclasses.replace(stored, saved_version=saved_version)
            # Label and color stand in the output files too.
            is_export_changed |= object_id in saved_masks or (
                stored.saved_version is not None
                and previous is not None
                and (stored.label_id, stored.color)
                != (previous.label_id, previous.color)
            )
            stored_objects.append(stored)
        self._commit(
            stored_objects,
            previous={
                stored.object_id: self.objects[stored.object_id]
                for stored in stored_objects
                if stored.object_id in self.objects
            },
            saved_masks=saved_masks,
            is_export_changed=is_export_changed,
        )
        return stored_objects

    def remove_object(self, object_id: int) -> None:
        """Remove an object; its ID is not reused."""
        removed_object = self.get_object(object_id)
        self._commit(
            deleted_ids=[object_id],
            is_export_changed=removed_object.saved_version is not None,
        )

    def restore_object(self, object_id: int) -> AnnotatedObject:
        """Restore an object that was removed, with its clicks and its history.

        Raises:
            RequestRejected: There is no such removed object (404).
        """
        if object_id in self.objects:
            return self.objects[object_id]
        deleted = self._storage.read_deleted(object_id)
        if deleted is None:
            raise RequestRejected(f"this image has no deleted object {object_id}", 404)
        restored = dataclasses.replace(deleted, revision=self.revision + 1)
        # Its snapshots are in the database already.
        self._commit(
            [restored],
            previous={object_id: deleted},
            restored_ids=[object_id],
            is_export_changed=restored.saved_version is not None,
        )
        return restored

    def find_request(self, request_key: str) -> list[int] | None:
        """Return the objects of a request that was applied; None = not applied yet."""
        return self._storage.find_request(request_key)

    def _commit(
        self, new_objects: Sequence[AnnotatedObject] = (), **fields: Any
    ) -> None:
        """Store a change, and only then apply it to the objects in memory."""
        new_ids = [new_object.object_id for new_object in new_objects]
        change = SessionChange(
            revision=self.revision + 1,
            objects=new_objects,
            request_key=self.request_key,
            request_ids=new_ids,
            **fields,
        )
        self._storage.commit(change)
        self.revision += 1
        self._known_ids.update(new_ids)
        self.objects.update(zip(new_ids, new_objects, strict=True))
        for object_id in change.deleted_ids:
            del self.objects[object_id]
        # A restored object returns to its old place.
        self.objects = dict(sorted(self.objects.items()))
        if change.is_export_changed:
            self._notify_exporter()
