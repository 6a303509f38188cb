"""One image and the actions of a user on its objects."""

import dataclasses
import threading
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import SessionExport
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.compiled_steps import MaskState
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.annotation.sessions.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.sessions.object_store import ObjectStore
from mst_jax.annotation.sessions.rendering import SnapshotRenderer
from mst_jax.annotation.sessions.storage import SessionStorage
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import TokenBoxes


class AnnotationSession:
    """The work on one image; every action is on disk when its method returns.

    Thread-safe: the actions of a session run one after the other. Methods that take an
    object ID raise `RequestRejected` (404) if there is no object with this ID.

    Attributes:
        session_id: ID of the session in URLs.
        lock: Held during an action; hold it to run several actions as one.
    """

    def __init__(
        self,
        session_id: str,
        storage: SessionStorage,
        engine: InferenceEngine,
        limits: Limits,
        autosave: Autosave | None = None,
    ) -> None:
        """Load a session from its folder; compile what the size of its image needs.

        Args:
            session_id: ID of the session.
            storage: Folder of the session.
            engine: Engine of the server.
            limits: Maximum numbers of objects, clicks and snapshots.
            autosave: Writes the finished objects of an image of the served folder to disk;
                None for uploaded images.
        """
        state = storage.read_state()
        self.session_id = session_id
        self.lock = threading.RLock()
        self._storage, self._limits = storage, limits
        self._renderer = SnapshotRenderer(storage, engine, state["next_array_id"])
        self._store = ObjectStore(storage, state, self._renderer, autosave)

    @staticmethod
    def write_empty(
        storage: SessionStorage,
        image_data: bytes,
        *,
        image_name: str,
        source_key: str | None,
    ) -> None:
        """Write a session without objects.

        Args:
            storage: Empty folder.
            image_data: JPEG or PNG bytes of the image.
            image_name: Name of the image file.
            source_key: Key of the file in the served folder; None = uploaded.
        """
        storage.write_image(image_data)
        ObjectStore.write_empty(storage, image_name=image_name, source_key=source_key)

    @property
    def image_name(self) -> str:
        """Name of the image file."""
        return self._store.image_name

    @property
    def image_data(self) -> bytes:
        """JPEG or PNG bytes of the image, rotated according to its EXIF orientation."""
        return self._storage.read_image()

    @property
    def height(self) -> int:
        """Height of the image in pixels."""
        return self._renderer.height

    @property
    def width(self) -> int:
        """Width of the image in pixels."""
        return self._renderer.width

    @property
    def objects(self) -> dict[int, AnnotatedObject]:
        """Object ID -> object."""
        return self._store.objects

    def get_object(self, object_id: int) -> AnnotatedObject:
        """Return an object."""
        return self._store.get_object(object_id)

    def restore_autosaved(self) -> None:
        """Load the objects of this image that an earlier session has autosaved."""
        with self.lock:
            self._store.restore_autosaved()

    def add_object(
        self, name: str | None = None, color: str | None = None
    ) -> AnnotatedObject:
        """Add an object without clicks; None = default name or color."""
        with self.lock:
            self._store.check_exists()
            self._check_num_objects(1)
            return self._store.add_object(name, color)

    def update_object(
        self,
        object_id: int,
        *,
        name: str | None = None,
        color: str | None = None,
        finished: bool | None = None,
    ) -> AnnotatedObject:
        """Change the attributes of an object; None = unchanged."""
        new_attributes: dict[str, Any] = {
            "name": name,
            "color": color,
            "finished": finished,
        }
        changes = {
            key: value for key, value in new_attributes.items() if value is not None
        }
        with self.lock:
            annotated_object = self.get_object(object_id)
            return self._store.store_object(
                dataclasses.replace(annotated_object, **changes)
            )

    def remove_object(self, object_id: int) -> None:
        """Remove an object; its ID is not reused."""
        with self.lock:
            self._store.remove_object(object_id)

    def click(
        self,
        object_id: int,
        row: SupportsFloat,
        column: SupportsFloat,
        is_positive: bool,
    ) -> AnnotatedObject:
        """Add a click and predict a new mask.

        Args:
            object_id: ID of the object.
            row: Row of the click in pixels, 0 <= row < height.
            column: Column of the click in pixels, 0 <= column < width.
            is_positive: True = the object is here, False = it is not.
        """
        with self.lock:
            annotated_object = self.get_object(object_id)
            new_click = Click(float(row), float(column), is_positive)
            self._check_inside(new_click)
            num_clicks = len(annotated_object.current_snapshot.clicks)
            if num_clicks >= self._limits.max_clicks:
                raise RequestRejected(
                    f"the object has {num_clicks} clicks, the maximum; correct its "
                    "mask with the brush, or send a mask"
                )
            current = annotated_object.current_snapshot
            snapshot = self._renderer.apply_clicks(current, (new_click,))
            return self._append_snapshot(annotated_object, snapshot)

    def remove_click(self, object_id: int, index: int) -> AnnotatedObject:
        """Remove a click and predict the mask of the others again.

        Args:
            object_id: ID of the object.
            index: Index of the click, from 0.
        """
        with self.lock:
            annotated_object = self.get_object(object_id)
            current = annotated_object.current_snapshot
            if not 0 <= index < len(current.clicks):
                raise RequestRejected(f"object {object_id} has no click {index}", 404)
            # The predictions of later clicks depend on the removed one, so that all
            # clicks are made again from the beginning.
            start_snapshot = self._renderer.initial_snapshot(current.initial_mask_id)
            other_clicks = current.clicks[:index] + current.clicks[index + 1 :]
            snapshot = self._renderer.apply_clicks(start_snapshot, other_clicks)
            return self._append_snapshot(annotated_object, snapshot)

    def load_mask(
        self, object_id: int, mask: Bool[np.ndarray, "h w"]
    ) -> AnnotatedObject:
        """Replace the clicks of an object by a mask; later clicks correct it.

        Args:
            object_id: ID of the object.
            mask: [h w] object pixels, of the size of the image.
        """
        with self.lock:
            annotated_object = self.get_object(object_id)
            snapshot = self._renderer.store_mask(mask)
            return self._append_snapshot(annotated_object, snapshot)

    def load_label_map(
        self, label_map: UInt16[np.ndarray, "h w"]
    ) -> list[AnnotatedObject]:
        """Add an object for every value above 0 of a label map.

        Args:
            label_map: [h w] labels, of the size of the image.
        """
        with self.lock:
            unique_labels = np.unique(label_map[label_map > 0])
            if not unique_labels.size:
                raise RequestRejected("the label map is 0 everywhere, expected objects")
            # Checked before the first one is added: all objects are added or none.
            self._check_num_objects(unique_labels.size)
            return [
                self.load_mask(self.add_object().object_id, label_map == object_label)
                for object_label in unique_labels
            ]

    def undo(self, object_id: int) -> AnnotatedObject:
        """Undo the last change of an object's mask; without one nothing changes."""
        with self.lock:
            return self._store.store_object(self.get_object(object_id).undo())

    def redo(self, object_id: int) -> AnnotatedObject:
        """Redo the change that was undone last; without one nothing changes."""
        with self.lock:
            return self._store.store_object(self.get_object(object_id).redo())

    def reset(self, object_id: int) -> AnnotatedObject:
        """Remove the clicks and the mask of an object; this can be undone."""
        with self.lock:
            return self._append_snapshot(self.get_object(object_id), ObjectSnapshot())

    def get_mask(self, object_id: int) -> Bool[np.ndarray, "h w"]:
        """Return the mask of an object."""
        with self.lock:
            return self._render_object(object_id).mask

    def get_probability(self, object_id: int) -> UInt8[np.ndarray, "h w"]:
        """Return the probability map of an object, scaled to 0 to 255."""
        with self.lock:
            padded_prob = np.asarray(self._render_object(object_id).prob)[0]
            prob = padded_prob[: self.height, : self.width]
            return np.rint(255 * prob).astype(np.uint8)

    def get_token_boxes(self, object_id: int) -> tuple[TokenBoxes, TokenBoxes]:
        """Return the fine and coarse tokens that the model selects for an object."""
        with self.lock:
            snapshot = self.get_object(object_id).current_snapshot
            return self._renderer.token_boxes(snapshot)

    def make_export(self) -> SessionExport:
        """Return the content to export; hold the lock while it is used."""
        return self._store.make_export()

    def delete_from_disk(self) -> None:
        """Delete the session from disk; later actions are rejected."""
        with self.lock:
            self._storage.delete_folder()

    def _render_object(self, object_id: int) -> MaskState:
        snapshot = self.get_object(object_id).current_snapshot
        return self._renderer.render_snapshot(snapshot)

    def _check_inside(self, click: Click) -> None:
        # Written so that NaN is outside.
        is_row_inside = 0 <= click.row < self.height
        if not (is_row_inside and 0 <= click.column < self.width):
            raise RequestRejected(
                f"the click at x {click.column:g}, y {click.row:g} lies outside the "
                f"image of {self.width}x{self.height} pixels"
            )

    def _check_num_objects(self, num_new: int) -> None:
        if len(self.objects) + num_new > self._limits.max_objects:
            raise RequestRejected(
                f"the image has {len(self.objects)} objects and {num_new} more would be "
                f"added, the maximum is {self._limits.max_objects}; remove some objects"
            )

    def _append_snapshot(
        self, annotated_object: AnnotatedObject, snapshot: ObjectSnapshot
    ) -> AnnotatedObject:
        """Append a snapshot to the history of an object and store the object."""
        max_snapshots = self._limits.max_snapshots
        return self._store.store_object(
            annotated_object.append_snapshot(snapshot, max_snapshots=max_snapshots)
        )
