"""The objects of one session, in memory and on disk."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import LabeledMask, SessionExport
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.annotation.sessions.history import AnnotatedObject
from mst_jax.annotation.sessions.rendering import SnapshotRenderer
from mst_jax.annotation.sessions.storage import SessionStorage

DEFAULT_COLORS = (
    *("#2c82ff", "#ff9f1c", "#2ec4b6", "#e71d36"),
    *("#9b5de5", "#8ac926", "#f15bb5"),
)
"""Colors of objects without a color of the user's choice, in turn."""


class ObjectStore:
    """Objects by their IDs; every change is on disk when its method returns.

    Not thread-safe: the session holds its lock.

    Attributes:
        image_name: Name of the image file.
        source_key: Key of the file in the served folder, see `ImageFolder.source_key`;
            None for an uploaded image.
        objects: Object ID -> object.
        renderer: Computes the masks of the objects.
    """

    def __init__(
        self,
        storage: SessionStorage,
        state: dict[str, Any],
        renderer: SnapshotRenderer,
        autosave: Autosave | None,
    ) -> None:
        """Build the objects of a stored state.

        Args:
            storage: Folder of the session.
            state: JSON tree as `SessionStorage.read_state` returns it.
            renderer: Renderer of the session's image.
            autosave: Output for the finished objects of images of the served folder.
        """
        self.image_name, self.source_key = state["image_name"], state["source_key"]
        objects = map(AnnotatedObject.from_json, state["objects"])
        self.objects = {
            annotated_object.object_id: annotated_object for annotated_object in objects
        }
        self.renderer = renderer
        self._next_object_id = state["next_object_id"]
        self._storage = storage
        # Uploaded images have no path in the output folder.
        self._autosave = autosave if self.source_key else None

    @staticmethod
    def write_empty(
        storage: SessionStorage, *, image_name: str, source_key: str | None
    ) -> None:
        """Write the state of a session without objects.

        Args:
            storage: Folder of the session.
            image_name: Name of the image file.
            source_key: Key of the file in the served folder; None = uploaded.
        """
        state = {
            "image_name": image_name,
            "source_key": source_key,
            "objects": [],
            "next_object_id": 1,
            "next_array_id": 1,
        }
        storage.write_state(state)

    def check_exists(self) -> None:
        """Raise `RequestRejected` (404) if the session was deleted."""
        if not self._storage.exists:
            raise RequestRejected("this session was deleted; open the image again", 404)

    def get_object(self, object_id: int) -> AnnotatedObject:
        """Return an object.

        Raises:
            RequestRejected: The session was deleted, or has no such object (404).
        """
        self.check_exists()
        if object_id not in self.objects:
            raise RequestRejected(f"this image has no object {object_id}", 404)
        return self.objects[object_id]

    def add_object(self, name: str | None, color: str | None) -> AnnotatedObject:
        """Add an object without clicks.

        Args:
            name: Name of the object; None = "object" and its ID.
            color: Color such as "#2c82ff"; None = the next default color.
        """
        object_id = self._next_object_id
        self._next_object_id += 1
        name, color = name or f"object {object_id}", color or _default_color(object_id)
        return self.store_object(AnnotatedObject(object_id, name, color))

    def store_object(self, annotated_object: AnnotatedObject) -> AnnotatedObject:
        """Replace an object, and delete arrays that its history no longer needs."""
        previous_object = self.objects.get(annotated_object.object_id, annotated_object)
        self.objects[annotated_object.object_id] = annotated_object
        # The state first: it must never name an array that is gone.
        self._write_state()
        self._storage.delete_arrays(
            previous_object.array_ids() - annotated_object.array_ids()
        )
        # Also when it is no longer finished: the saved file then loses it.
        if previous_object.finished or annotated_object.finished:
            self._autosave_finished()
        return annotated_object

    def remove_object(self, object_id: int) -> None:
        """Remove an object; its ID is not reused."""
        removed_object = self.get_object(object_id)
        # As in `store_object`: the state first, then the arrays.
        del self.objects[object_id]
        self._write_state()
        self._storage.delete_arrays(removed_object.array_ids())
        if removed_object.finished:
            self._autosave_finished()

    def restore_autosaved(self) -> None:
        """Load the objects of this image that an earlier session has autosaved."""
        if self._autosave is None:
            return
        height, width = self.renderer.height, self.renderer.width
        # Restored objects keep their IDs, which are the labels of the saved label map.
        for saved_mask in self._autosave.read_objects(self.image_name, height, width):
            self.objects[saved_mask.object_id] = AnnotatedObject(
                saved_mask.object_id,
                saved_mask.name,
                saved_mask.color or _default_color(saved_mask.object_id),
                finished=True,
                snapshots=(self.renderer.store_mask(saved_mask.mask),),
            )
            self._next_object_id = max(self._next_object_id, saved_mask.object_id + 1)
        self._write_state()

    def make_export(self, *, finished_only: bool = False) -> SessionExport:
        """Return the content to export.

        Args:
            finished_only: Leave out objects that are not marked as finished.
        """

        def iter_objects() -> Iterator[LabeledMask]:
            for annotated_object in self.objects.values():
                object_id, snapshot = (
                    annotated_object.object_id,
                    annotated_object.current_snapshot,
                )
                if snapshot.area and (annotated_object.finished or not finished_only):
                    # Uncached: the next click needs the mask that is cached now.
                    mask = self.renderer.render_uncached(snapshot).mask
                    yield LabeledMask(
                        object_id, annotated_object.name, annotated_object.color, mask
                    )

        return SessionExport(
            self.image_name,
            self._storage.read_image(),
            self.renderer.height,
            self.renderer.width,
            iter_objects,
            self._state_tree(),
        )

    def _autosave_finished(self) -> None:
        if self._autosave is not None:
            self._autosave.write_objects(self.make_export(finished_only=True))

    def _write_state(self) -> None:
        self._storage.write_state(self._state_tree())

    def _state_tree(self) -> dict[str, Any]:
        """Return the state as a JSON tree."""
        return {
            "image_name": self.image_name,
            "source_key": self.source_key,
            "objects": list(map(dataclasses.asdict, self.objects.values())),
            "next_object_id": self._next_object_id,
            "next_array_id": self.renderer.next_array_id,
        }


def _default_color(object_id: int) -> str:
    return DEFAULT_COLORS[(object_id - 1) % len(DEFAULT_COLORS)]
