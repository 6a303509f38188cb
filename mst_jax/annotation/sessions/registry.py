"""All sessions of a server: their number, their memory and their end."""

import re
import secrets
import threading
import time
import weakref
from collections import OrderedDict
from pathlib import Path

from mst_jax.annotation.limits import Limits, Refused
from mst_jax.annotation.serving.engine import Engine
from mst_jax.annotation.sessions.annotation_session import Session
from mst_jax.annotation.sessions.autosave import Saved
from mst_jax.annotation.sessions.storage import SessionFolder
from mst_jax.data.formats.images import EncodedPicture

_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Sessions:
    """Sessions on disk; those in use lately also in memory.

    Nothing is lost when a session leaves memory: its folder has all, and the next
    request wakes it.
    """

    def __init__(
        self, folder: Path, engine: Engine, limits: Limits, saved: Saved | None = None
    ) -> None:
        """Takes the folder, where sessions of an earlier server may be.

        Args:
            folder: made if it is not there.
            engine: the model.
            limits: what is refused.
            saved: where finished objects are saved besides.

        Raises:
            OSError: it cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._engine, self._limits = folder, engine, limits
        self._saved = saved
        self._lock, self._waking = threading.Lock(), threading.Lock()
        self._recent: OrderedDict[str, Session] = OrderedDict()
        # A session that left `_recent` while a request holds it is not opened twice.
        self._alive: weakref.WeakValueDictionary[str, Session]
        self._alive = weakref.WeakValueDictionary()
        folders = [(id, self._of(id)) for id in self._ids()]
        self._id_of = {of.read_state()["source"]: id for id, of in folders if of.exists}

    def create(
        self, picture: EncodedPicture, *, name: str, source: str = ""
    ) -> Session:
        """A new session with a picture, and what was saved of it; or its session.

        Raises:
            Refused: there are as many sessions as are allowed (429); the model cannot
                look at pictures of this size (400).
        """
        if not self._engine.suits(picture.height, picture.width):
            raise Refused(
                f"the model cannot look at a picture of {picture.width}x{picture.height} "
                "pixels as it is; start the server with another --zoom"
            )
        with self._waking:
            known = self._known(source)  # opened by another in this very moment?
            if known:
                return self._at_hand(known) or self._wake(known)
            self._check_room()
            id = secrets.token_urlsafe(18)
            Session.write(self._of(id), picture.data, name=name, source=source)
            session = self._wake(id)
            try:
                session.add_saved()
            except Refused:
                self._end(id)
                raise
            self._id_of[source] = id
            return session

    def find(self, source: str) -> Session | None:
        """The session of a picture of the folder, which all its users share."""
        known = self._known(source)
        return self.get(known) if known else None

    def get(self, id: str) -> Session:
        """The session of this id, woken if it rests.

        Raises:
            Refused: there is none (404).
        """
        session = self._at_hand(id)
        if session is None:
            with self._waking:
                session = self._at_hand(id) or self._wake(id)
        return session

    def remove(self, id: str) -> None:
        """Ends a session: memory and disk are free again; Refused if there is none."""
        if not self._of(id).exists:
            raise Refused("there is no such session; it may have expired", 404)
        self._end(id)

    def sweep(self) -> None:
        """Ends the sessions that were not used for too long."""
        for id in self._ids():
            folder = self._of(id)
            if folder.exists and time.time() - folder.used > self._limits.expiry:
                self._end(id)

    def _end(self, id: str) -> None:
        with self._lock:
            self._recent.pop(id, None)
            session = self._alive.pop(id, None)
        if session is None:
            self._of(id).remove()
        else:
            session.end()

    @property
    def num_awake(self) -> int:
        """Sessions in memory."""
        return len(self._recent)

    def _known(self, source: str) -> str | None:
        id = self._id_of.get(source) if source else None
        return id if id and self._of(id).exists else None

    def _check_room(self) -> None:
        if len(self._ids()) >= self._limits.sessions:
            self.sweep()
        if len(self._ids()) >= self._limits.sessions:
            raise Refused(
                f"{self._limits.sessions} pictures are open, no more are allowed; "
                "close one, or try again later",
                429,
            )

    def _at_hand(self, id: str) -> Session | None:
        with self._lock:
            session = self._alive.get(id)
            if session is not None and self._of(id).exists:
                self._use(session)
                return session
        return None

    def _wake(self, id: str) -> Session:
        folder = self._of(id)
        if not folder.exists:
            raise Refused("there is no such session; it may have expired", 404)
        session = Session(id, folder, self._engine, self._limits, self._saved)
        with self._lock:
            self._use(session)
        return session

    def _use(self, session: Session) -> None:
        """Notes that a session is in use; the one that rested longest may leave."""
        self._of(session.id).touch()
        self._alive[session.id] = self._recent[session.id] = session
        self._recent.move_to_end(session.id)
        while len(self._recent) > self._limits.awake:
            self._recent.popitem(last=False)

    def _of(self, id: str) -> SessionFolder:
        if not _ID.fullmatch(id):
            raise Refused("there is no such session", 404)
        return SessionFolder(self._folder / id)

    def _ids(self) -> list[str]:
        return [p.name for p in self._folder.iterdir() if _ID.fullmatch(p.name)]
