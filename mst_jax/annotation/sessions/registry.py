"""All sessions of a server: creation, loading, memory limit and expiry."""

import re
import secrets
import threading
import time
import weakref
from collections import OrderedDict
from pathlib import Path

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.annotation.sessions.storage import SessionStorage
from mst_jax.data.formats.images import EncodedImage

_ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{16,64}")


class SessionRegistry:
    """Sessions on disk, the recently used ones also in memory.

    Nothing is lost when a session leaves memory: its folder holds everything, and the
    next request loads it again.
    """

    def __init__(
        self,
        sessions_dir: Path,
        engine: InferenceEngine,
        limits: Limits,
        autosave: Autosave | None = None,
    ) -> None:
        """Open the folder of the sessions, which may hold those of an earlier server.

        Args:
            sessions_dir: Folder of the session folders; created if it does not exist.
            engine: Engine of the server.
            limits: Maximum number of sessions, on disk and in memory.
            autosave: Output for the finished objects of images of the served folder.

        Raises:
            OSError: The folder cannot be created.
        """
        sessions_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sessions_dir, self._engine, self._limits = sessions_dir, engine, limits
        self._autosave = autosave
        # `_lock` is held for moments only. `_loading_lock` is held while a session is
        # created or loaded, which may compile for seconds.
        self._lock, self._loading_lock = threading.Lock(), threading.Lock()
        self._recently_used: OrderedDict[str, AnnotationSession] = OrderedDict()
        # A session that has left `_recently_used` while a request still holds it must
        # not be loaded a second time: two copies would overwrite each other's state.
        self._loaded: weakref.WeakValueDictionary[str, AnnotationSession]
        self._loaded = weakref.WeakValueDictionary()
        self._id_of_source = self._index_sources()

    @property
    def num_in_memory(self) -> int:
        """Number of sessions in memory."""
        return len(self._recently_used)

    def create_session(
        self, image: EncodedImage, *, image_name: str, source_key: str | None = None
    ) -> AnnotationSession:
        """Create a session with the autosaved objects of its image.

        Args:
            image: Encoded image.
            image_name: Name of the image file.
            source_key: Key of the file in the served folder; None = uploaded.

        Returns:
            The new session; for a folder image that has a session, that session.

        Raises:
            RequestRejected: The maximum number of sessions is reached (429); the model
                does not accept images of this size (400).
        """
        if not self._engine.accepts_size(image.height, image.width):
            raise RequestRejected(
                f"without zoom the model does not accept an image of {image.width}x"
                f"{image.height} pixels; start the server with another --zoom"
            )
        with self._loading_lock:
            # Another request may have opened the same image in the meantime.
            known_id = self._find_id(source_key)
            if known_id:
                return self._get_loaded(known_id) or self._load_session(known_id)
            self._check_num_sessions()
            # 144 random bits: who does not know the ID cannot guess it.
            session_id = secrets.token_urlsafe(18)
            AnnotationSession.write_empty(
                self._storage_of(session_id),
                image.data,
                image_name=image_name,
                source_key=source_key,
            )
            session = self._load_session(session_id)
            # A damaged autosave file must not leave an empty session behind, which the
            # next user would get instead of the error.
            try:
                session.restore_autosaved()
            except RequestRejected:
                self._delete_session(session_id)
                raise
            if source_key:
                self._id_of_source[source_key] = session_id
            return session

    def find_by_source(self, source_key: str | None) -> AnnotationSession | None:
        """Return the session of a folder image, which all its users share.

        Args:
            source_key: Key of the file in the served folder.
        """
        known_id = self._find_id(source_key)
        return self.get_session(known_id) if known_id else None

    def get_session(self, session_id: str) -> AnnotationSession:
        """Return a session, loaded from disk if it is not in memory.

        Args:
            session_id: ID of the session.

        Raises:
            RequestRejected: There is no such session (404).
        """
        session = self._get_loaded(session_id)
        if session is None:
            with self._loading_lock:
                # Another request may have loaded it while this one waited.
                session = self._get_loaded(session_id) or self._load_session(session_id)
        return session

    def remove_session(self, session_id: str) -> None:
        """Delete a session from memory and disk.

        Args:
            session_id: ID of the session.

        Raises:
            RequestRejected: There is no such session (404).
        """
        if not self._storage_of(session_id).exists:
            raise RequestRejected("there is no such session; it may have expired", 404)
        self._delete_session(session_id)

    def remove_expired(self) -> None:
        """Delete the sessions that were not used for too long."""
        for session_id in self._stored_ids():
            storage = self._storage_of(session_id)
            # Another thread may have deleted it just now.
            if not storage.exists:
                continue
            if time.time() - storage.last_used > self._limits.expiry_seconds:
                self._delete_session(session_id)

    def _index_sources(self) -> dict[str, str]:
        """Return source key -> session ID of the sessions on disk."""
        id_of_source = {}
        for session_id in self._stored_ids():
            storage = self._storage_of(session_id)
            if not storage.exists:
                continue
            try:
                source_key = storage.read_state()["source_key"]
            except RequestRejected:  # of another version; it expires
                continue
            if source_key:
                id_of_source[source_key] = session_id
        return id_of_source

    def _delete_session(self, session_id: str) -> None:
        # Out of memory first: no request finds it while its folder is deleted.
        with self._lock:
            self._recently_used.pop(session_id, None)
            session = self._loaded.pop(session_id, None)
        if session is None:
            self._storage_of(session_id).delete_folder()
        else:  # waits for an action that is running
            session.delete_from_disk()

    def _find_id(self, source_key: str | None) -> str | None:
        session_id = self._id_of_source.get(source_key) if source_key else None
        is_stored = session_id is not None and self._storage_of(session_id).exists
        return session_id if is_stored else None

    def _check_num_sessions(self) -> None:
        # Expired sessions are deleted once a minute; here at once, to make space.
        if len(self._stored_ids()) >= self._limits.max_sessions:
            self.remove_expired()
        if len(self._stored_ids()) >= self._limits.max_sessions:
            raise RequestRejected(
                f"{self._limits.max_sessions} images are open, the maximum; close one, "
                "or try again later",
                429,
            )

    def _get_loaded(self, session_id: str) -> AnnotationSession | None:
        """Return a session in memory; None if it is not there or was deleted."""
        with self._lock:
            session = self._loaded.get(session_id)
            if session is not None and self._storage_of(session_id).exists:
                self._mark_used(session)
                return session
        return None

    def _load_session(self, session_id: str) -> AnnotationSession:
        """Load a session from disk; the caller holds `_loading_lock`."""
        storage = self._storage_of(session_id)
        if not storage.exists:
            raise RequestRejected("there is no such session; it may have expired", 404)
        session = AnnotationSession(
            session_id, storage, self._engine, self._limits, self._autosave
        )
        with self._lock:
            self._mark_used(session)
        return session

    def _mark_used(self, session: AnnotationSession) -> None:
        """Record the use of a session; the least recently used one may leave memory."""
        session_id = session.session_id
        self._storage_of(session_id).mark_used()
        self._loaded[session_id] = self._recently_used[session_id] = session
        self._recently_used.move_to_end(session_id)
        while len(self._recently_used) > self._limits.max_in_memory:
            self._recently_used.popitem(last=False)

    def _storage_of(self, session_id: str) -> SessionStorage:
        # IDs come from URLs: the pattern keeps ".." and "/" out of the path.
        if not _ID_PATTERN.fullmatch(session_id):
            raise RequestRejected("there is no such session", 404)
        return SessionStorage(self._sessions_dir / session_id)

    def _stored_ids(self) -> list[str]:
        return [
            path.name
            for path in self._sessions_dir.iterdir()
            if _ID_PATTERN.fullmatch(path.name)
        ]
