"""All sessions of a server: creation, loading, memory limit and expiry."""

import json
import re
import secrets
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import LabeledMask
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.sessions.exporter import Exporter
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.annotation.sessions.session_parts import SessionImages, SessionParts
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.labels import LabelList
from mst_jax.annotation.store.saved_objects import insert_saved_objects
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.data.formats.images import EncodedImage

_ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MAX_LOADED = 200  # sessions in memory; without their images they are small


class SessionRegistry:
    """Sessions in the database, the recently used ones also in memory.

    Nothing is lost when a session leaves memory: the database holds everything, and the
    next request loads it again.

    Attributes:
        database: Database of the server.
        labels: Labels of the server.
        exporter: Writes finished objects to the save folder.
    """

    def __init__(
        self,
        database: Database,
        engine: InferenceEngine,
        limits: Limits,
        *,
        image_folder: ImageFolder | None = None,
        save_folder: SaveFolder | None = None,
        fixed_labels: Sequence[str] | None = None,
    ) -> None:
        """Open the sessions, also those of an earlier server.

        Args:
            database: Database of the server.
            engine: Engine of the server.
            limits: Maximum numbers of sessions and of bytes in memory.
            image_folder: Images that the server offers; None = uploads only.
            save_folder: Output files of the images of the folder; None = none.
            fixed_labels: Labels from which users must choose; None = users add labels.
        """
        self.database, self._limits = database, limits
        self._image_folder, self._save_folder = image_folder, save_folder
        self.labels = LabelList(database, fixed_labels)
        self.exporter = Exporter(database, self.labels, save_folder)
        self._engine = engine
        session_images = SessionImages(database, image_folder)
        self._parts = SessionParts(
            engine, limits, self.labels, session_images, self.exporter.notify
        )
        # `_lock` is held while rows are read, never while a file is decoded.
        self._lock, self._creation_lock = threading.RLock(), threading.Lock()
        self._recently_used: OrderedDict[str, AnnotationSession] = OrderedDict()
        # A session that has left `_recently_used` while a request still holds it must
        # not be loaded a second time: two copies would overwrite each other's state.
        self._loaded: weakref.WeakValueDictionary[str, AnnotationSession]
        self._loaded = weakref.WeakValueDictionary()

    @property
    def num_image_bytes(self) -> int:
        """Number of bytes that the images and masks in memory occupy."""
        with self._lock:
            return sum(
                session.renderer.num_device_bytes
                for session in self._recently_used.values()
            )

    def create_session(
        self, image: EncodedImage, *, image_name: str, request_key: str | None = None
    ) -> AnnotationSession:
        """Create the session of an uploaded image.

        Args:
            image: Encoded image.
            image_name: Name of the image file.
            request_key: Key of the client's request; the same key returns the same
                session.

        Raises:
            RequestRejected: The maximum number of sessions is reached (429); the model
                does not accept images of this size (400).
        """
        self._check_size(image.height, image.width)
        with self._lock:
            known_id = self.find_upload(request_key)
            if known_id is not None:
                return self.get_session(known_id)
            self._make_room()
            session_id = _new_session_id()
            with self.database.transaction() as connection:
                connection.execute(
                    "INSERT INTO sessions (session_id, image_name, image, height, width, "
                    "remarks, last_used) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (session_id, image_name, image.data, *_image_columns(image)),
                )
                if request_key is not None:
                    connection.execute(
                        "INSERT INTO uploads VALUES (?, ?)", (request_key, session_id)
                    )
        return self.get_session(session_id)

    def find_upload(self, request_key: str | None) -> str | None:
        """Return the session that a request created; None = not applied yet."""
        row = self.database.fetch_one(
            "SELECT session_id FROM uploads WHERE request_key = ?", (request_key,)
        )
        return row["session_id"] if row else None

    def open_folder_image(self, name: str) -> AnnotationSession:
        """Return the session of an image of the folder, which all its users share.

        A new session begins with the objects that the save folder has for the image.

        Args:
            name: Path relative to the folder.

        Raises:
            RequestRejected: There is no such image (404), it is damaged (415) or too
                large (413), or its saved files are damaged (409).
        """
        if self._image_folder is None:
            raise RequestRejected(
                "the server has no image folder; upload the image instead", 404
            )
        known_id = self._find_folder_session(name)
        if known_id is None:
            image = self._image_folder.read_image(name)
            self._check_size(image.height, image.width)
            with self._creation_lock:
                # Another request may have opened the same image in the meantime.
                known_id = self._find_folder_session(name)
                if known_id is None:
                    known_id = self._insert_folder_image(name, image)
        return self.get_session(known_id)

    def get_session(self, session_id: str) -> AnnotationSession:
        """Return a session, loaded from the database if it is not in memory.

        Args:
            session_id: ID of the session.

        Raises:
            RequestRejected: There is no such session (404), or it is damaged (409).
        """
        if not _ID_PATTERN.fullmatch(session_id):
            raise RequestRejected("there is no such session", 404)
        with self._lock:
            session = self._loaded.get(session_id) or AnnotationSession(
                session_id, SessionStorage(self.database, session_id), self._parts
            )
            self._loaded[session_id] = self._recently_used[session_id] = session
            self._recently_used.move_to_end(session_id)
            self._limit_memory(session)
        return session

    def remove_session(self, session_id: str) -> None:
        """Delete the session of an uploaded image.

        Args:
            session_id: ID of the session.

        Raises:
            RequestRejected: There is no such session (404), or its image belongs to the
                folder (409).
        """
        session = self.get_session(session_id)
        if session.folder_name is not None:
            raise RequestRejected(
                "the work on an image of the folder is kept; delete its objects instead",
                409,
            )
        self._delete_session(session_id)

    def remove_expired(self) -> None:
        """Delete the uploads that were not changed for too long, if they may expire.

        Work that is finished is never deleted.
        """
        if self._limits.expiry_seconds is None:
            return
        rows = self.database.fetch_all(
            "SELECT session_id FROM sessions WHERE folder_name IS NULL AND last_used < ? "
            "AND num_objects = num_unfinished",
            (time.time() - self._limits.expiry_seconds,),
        )
        for row in rows:
            self._delete_session(row["session_id"])

    def read_export_state(self, session_id: str) -> tuple[bool, str | None]:
        """Return whether all finished work of a session is exported, and the error.

        Args:
            session_id: ID of the session.
        """
        row = self.database.fetch_one(
            "SELECT saved_revision <= exported_revision OR output_stem IS NULL AS done "
            "FROM sessions WHERE session_id = ?",
            (session_id,),
        )
        return bool(row and row["done"]), self.exporter.error_of(session_id)

    def _check_size(self, height: int, width: int) -> None:
        if not self._engine.accepts_size(height, width):
            raise RequestRejected(
                f"without zoom the model does not accept {width}x{height} pixels; start "
                "the server with another --zoom"
            )

    def _find_folder_session(self, name: str) -> str | None:
        row = self.database.fetch_one(
            "SELECT session_id FROM sessions WHERE folder_name = ?", (name,)
        )
        return row["session_id"] if row else None

    def _insert_folder_image(self, name: str, image: EncodedImage) -> str:
        """Insert the session of an image; the caller holds `_creation_lock`."""
        assert self._image_folder is not None
        session_id, stem, labeled_masks = _new_session_id(), None, list[LabeledMask]()
        if self._save_folder is not None:
            names = self._image_folder.list_siblings(name)
            stem = self._save_folder.choose_stem(name, names)
            size = image.height, image.width
            labeled_masks = self._save_folder.read_objects(stem, *size, names)
        label_ids = [
            None if labeled.name is None else self.labels.keep(labeled.name)
            for labeled in labeled_masks
        ]
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO sessions (session_id, image_name, folder_name, output_stem, "
                "height, width, remarks, last_used) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (session_id, name, name, stem, *_image_columns(image)),
            )
            insert_saved_objects(connection, session_id, labeled_masks, label_ids)
        return session_id

    def _delete_session(self, session_id: str) -> None:
        with self._lock:
            self._recently_used.pop(session_id, None)
            self._loaded.pop(session_id, None)
            SessionStorage(self.database, session_id).delete()

    def _make_room(self) -> None:
        """Delete the oldest upload without objects if there are too many uploads."""
        rows = self.database.fetch_all(
            "SELECT session_id, num_objects FROM sessions WHERE folder_name IS NULL "
            "ORDER BY last_used"
        )
        if len(rows) < self._limits.max_sessions:
            return
        empty_ids = [row["session_id"] for row in rows if not row["num_objects"]]
        if not empty_ids:
            raise RequestRejected(
                f"{self._limits.max_sessions} uploaded images with objects are open, the "
                "maximum; close one, or restart the server with a larger --max-sessions",
                429,
            )
        self._delete_session(empty_ids[0])

    def _limit_memory(self, current: AnnotationSession) -> None:
        """Release the images of the sessions that were not used for longest."""
        num_bytes = self._engine.count_bytes(current.height, current.width)
        for session in reversed(self._recently_used.values()):
            if session is current:
                continue
            num_bytes += session.renderer.num_device_bytes
            if num_bytes > self._limits.max_image_bytes:
                num_bytes -= session.renderer.num_device_bytes
                session.release_device_memory()
        while len(self._recently_used) > _MAX_LOADED:
            self._recently_used.popitem(last=False)


def _image_columns(image: EncodedImage) -> tuple[int, int, str, float]:
    return image.height, image.width, json.dumps(image.remarks), time.time()


def _new_session_id() -> str:
    return secrets.token_urlsafe(18)  # 144 random bits: nobody can guess it
