"""One image and the actions of its users on its objects."""

import contextlib
import dataclasses
import functools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Bool, UInt8

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.object_store import ObjectStore
from mst_jax.annotation.sessions.rendering import SnapshotRenderer
from mst_jax.annotation.sessions.session_parts import SessionParts
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.data.formats.images import EncodedImage
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import TokenBoxes


class AnnotationSession:
    """The work on one image; every action is stored when its method returns.

    Thread-safe: the actions of a session run one after the other. The image is decoded
    and copied to the device when an action needs it. Methods that take an object ID
    raise `RequestRejected` (404) if there is no object with this ID.

    Attributes:
        session_id: ID of the session in URLs.
        lock: Held during an action; hold it to run several actions as one.
        labels: Labels that the objects can carry.
        image_name: Name of the image file.
        folder_name: Path of the image in the served folder; None = uploaded.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        remarks: How the image file was read, if it is unusual.
        renderer: Computes the masks; it holds the image.
        store: Objects as they are stored.
    """

    def __init__(
        self, session_id: str, storage: SessionStorage, parts: SessionParts
    ) -> None:
        """Load the objects of a session.

        Args:
            session_id: ID of the session.
            storage: Rows of the session.
            parts: What all sessions share.

        Raises:
            RequestRejected: There is no such session (404), or it is damaged (409).
        """
        row = storage.read_row()
        self.session_id, self.lock = session_id, threading.RLock()
        self.image_name, self.folder_name = row["image_name"], row["folder_name"]
        self.height, self.width = row["height"], row["width"]
        self.remarks: list[str] = json.loads(row["remarks"])
        self.labels = parts.labels
        self._storage, self._images, self._limits = storage, parts.images, parts.limits
        read_pixels = functools.partial(parts.images.read_pixels, session_id)
        self.renderer = SnapshotRenderer(
            storage,
            parts.engine,
            parts.predictions,
            (self.height, self.width),
            read_pixels,
        )
        self.store = ObjectStore(
            storage, self.renderer.render_mask, parts.notify_exporter, parts.limits
        )

    @property
    def objects(self) -> dict[int, AnnotatedObject]:
        """Object ID -> object, in the order of the IDs."""
        return self.store.objects

    @property
    def revision(self) -> int:
        """Number that grows with every change of the session."""
        return self.store.revision

    def release_device_memory(self) -> bool:
        """Drop the image and the last mask unless an action runs; nothing is lost.

        Returns:
            True if the memory is free.
        """
        is_idle = self.lock.acquire(blocking=False)
        if is_idle:
            self.renderer.release()
            self.lock.release()
        return is_idle

    def read_image(self) -> EncodedImage:
        """Return the image, JPEG or PNG; errors as in `SessionImages.read_image`."""
        return self._images.read_image(self.session_id)

    def get_object(self, object_id: int) -> AnnotatedObject:
        """Return an object."""
        return self.store.get_object(object_id)

    def display_name(self, annotated_object: AnnotatedObject) -> str:
        """Return the label of an object; "object" and its ID if it has none."""
        label_name = self.labels.name_of(annotated_object.label_id)
        return label_name or f"object {annotated_object.object_id}"

    def run_once(
        self, request_key: str | None, action: Callable[[], Sequence[AnnotatedObject]]
    ) -> list[AnnotatedObject]:
        """Run an action unless the same request was applied before.

        The key is stored with the change, so that a client whose response was lost can
        repeat the request.

        Args:
            request_key: Key of the client's request; None = always run the action.
            action: Method call of this session that makes one change.

        Returns:
            What the action returns; for a repeated request the present objects.
        """
        with self.lock:
            if request_key is not None:
                object_ids = self.store.find_request(request_key)
                if object_ids is not None:
                    return [self.get_object(object_id) for object_id in object_ids]
            self.store.request_key = request_key
            try:
                return list(action())
            finally:
                self.store.request_key = None

    def add_object(
        self, name: str | None = None, color: str | None = None
    ) -> AnnotatedObject:
        """Add an object without clicks; None = no label, or the default color."""
        with self.action():
            self.store.check_num_objects(1)
            label_id = None if name is None else self.labels.choose(name)
            return self.store.store_object(self.store.new_object(label_id, color))

    def update_object(
        self,
        object_id: int,
        *,
        name: str | None = None,
        color: str | None = None,
        finished: bool | None = None,
    ) -> AnnotatedObject:
        """Change the attributes of an object; None = unchanged."""
        with self.action():
            annotated_object = self.get_object(object_id)
            changes: dict[str, Any] = {
                "color": annotated_object.color if color is None else color,
                "finished": annotated_object.finished if finished is None else finished,
            }
            # The default name is not a label.
            if name is not None and name != self.display_name(annotated_object):
                changes["label_id"] = self.labels.choose(name)
            return self.store.store_object(
                dataclasses.replace(annotated_object, **changes)
            )

    def remove_object(self, object_id: int) -> None:
        """Remove an object; its ID is not reused."""
        with self.action():
            self.store.remove_object(object_id)

    def restore_object(self, object_id: int) -> AnnotatedObject:
        """Restore an object that was removed, with its clicks and its history."""
        with self.action():
            return self.store.restore_object(object_id)

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
        with self.action():
            annotated_object = self.get_object(object_id)
            new_click = Click(float(row), float(column), is_positive)
            self._check_inside(new_click)
            current = annotated_object.current_snapshot
            num_clicks = len(current.clicks)
            if num_clicks >= self._limits.max_clicks:
                raise RequestRejected(
                    f"the object has {num_clicks} clicks, the maximum; correct its "
                    "mask with the brush, or send a mask"
                )
            snapshot = self.renderer.apply_clicks(current, (new_click,))
            return self.store.append_snapshot(annotated_object, snapshot)

    def remove_click(self, object_id: int, index: int) -> AnnotatedObject:
        """Remove a click and predict the mask of the others again.

        Args:
            object_id: ID of the object.
            index: Index of the click, from 0.
        """
        with self.action():
            annotated_object = self.get_object(object_id)
            current = annotated_object.current_snapshot
            if not 0 <= index < len(current.clicks):
                raise RequestRejected(f"object {object_id} has no click {index}", 404)
            # The predictions of later clicks depend on the removed one, so that all
            # clicks are made again from the beginning.
            other_clicks = current.clicks[:index] + current.clicks[index + 1 :]
            start_snapshot = self.renderer.initial_snapshot(current.initial_mask_id)
            snapshot = self.renderer.apply_clicks(start_snapshot, other_clicks)
            return self.store.append_snapshot(annotated_object, snapshot)

    def load_mask(
        self, object_id: int, mask: Bool[np.ndarray, "h w"]
    ) -> AnnotatedObject:
        """Replace the clicks of an object by a mask; later clicks correct it.

        Args:
            object_id: ID of the object.
            mask: [h w] object pixels, of the size of the image.
        """
        with self.action():
            snapshot = self.renderer.stage_mask(mask)
            return self.store.append_snapshot(self.get_object(object_id), snapshot)

    def undo(self, object_id: int) -> AnnotatedObject:
        """Undo the last change of an object's mask; without one nothing changes."""
        with self.action():
            return self.store.store_object(self.get_object(object_id).undo())

    def redo(self, object_id: int) -> AnnotatedObject:
        """Redo the change that was undone last; without one nothing changes."""
        with self.action():
            return self.store.store_object(self.get_object(object_id).redo())

    def reset(self, object_id: int) -> AnnotatedObject:
        """Remove the clicks and the mask of an object; this can be undone."""
        with self.action():
            return self.store.append_snapshot(
                self.get_object(object_id), ObjectSnapshot()
            )

    def get_mask(self, object_id: int) -> Bool[np.ndarray, "h w"]:
        """Return the mask of an object."""
        with self.lock:
            snapshot = self.get_object(object_id).current_snapshot
            return self.renderer.render_mask(snapshot)

    def get_probability(self, object_id: int) -> UInt8[np.ndarray, "h w"]:
        """Return the probability map of an object, scaled to 0 to 255."""
        with self.lock:
            snapshot = self.get_object(object_id).current_snapshot
            prob = self.renderer.render_prob(snapshot)
            return np.rint(255 * prob).astype(np.uint8)

    def get_token_boxes(self, object_id: int) -> tuple[TokenBoxes, TokenBoxes]:
        """Return the fine and coarse tokens that the model selects for an object."""
        with self.lock:
            snapshot = self.get_object(object_id).current_snapshot
            return self.renderer.token_boxes(snapshot)

    @contextlib.contextmanager
    def action(self) -> Iterator[None]:
        """Hold the lock; forget staged masks if the action fails."""
        with self.lock:
            try:
                yield
            except BaseException:
                self._storage.discard_staged()
                raise

    def _check_inside(self, click: Click) -> None:
        # Written so that NaN is outside.
        is_row_inside = 0 <= click.row < self.height
        if not (is_row_inside and 0 <= click.column < self.width):
            raise RequestRejected(
                f"the click at x {click.column:g}, y {click.row:g} lies outside the "
                f"image of {self.width}x{self.height} pixels"
            )
