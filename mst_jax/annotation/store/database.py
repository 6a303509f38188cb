"""The SQLite file that holds all work: sessions, objects, clicks, masks and labels.

A change is one transaction: after a crash or a full disk the file holds all of it or
nothing. Write-ahead logging with a full fsync at each commit survives a power failure.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mst_jax.annotation.errors import RequestRejected

DATABASE_NAME = "annotations.sqlite3"
_LOCK_NAME = ".lock"
_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    image_name TEXT NOT NULL,
    folder_name TEXT UNIQUE,        -- path in the served folder; NULL = uploaded
    output_stem TEXT UNIQUE,        -- files in the save folder; NULL = none
    image BLOB,                     -- JPEG or PNG of an uploaded image
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    remarks TEXT NOT NULL DEFAULT '[]',  -- JSON: how the image file was read
    revision INTEGER NOT NULL DEFAULT 0,
    next_mask_id INTEGER NOT NULL DEFAULT 1,
    num_objects INTEGER NOT NULL DEFAULT 0,      -- with a mask
    num_unfinished INTEGER NOT NULL DEFAULT 0,   -- of these
    saved_revision INTEGER NOT NULL DEFAULT 0,   -- grows when saved masks change
    exported_revision INTEGER NOT NULL DEFAULT 0,  -- the one in the output files
    last_used REAL NOT NULL
);
CREATE TABLE objects (
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    object_id INTEGER NOT NULL,
    label_id INTEGER,               -- NULL = no label
    color TEXT NOT NULL,
    finished INTEGER NOT NULL,
    current_index INTEGER NOT NULL,
    num_dropped INTEGER NOT NULL,   -- number of snapshots that the history has lost
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    saved_version INTEGER,          -- version of the saved mask
    saved_mask BLOB,                -- run lengths of the last finished mask
    deleted_revision INTEGER,       -- NULL = not deleted
    PRIMARY KEY (session_id, object_id)
);
CREATE TABLE snapshots (
    session_id TEXT NOT NULL,
    object_id INTEGER NOT NULL,
    snapshot_number INTEGER NOT NULL,
    clicks TEXT NOT NULL,           -- JSON: [[row, column, is_positive], ...]
    initial_mask_id INTEGER,
    mask_id INTEGER,
    area INTEGER NOT NULL,
    PRIMARY KEY (session_id, object_id, snapshot_number),
    FOREIGN KEY (session_id, object_id) REFERENCES objects ON DELETE CASCADE
);
CREATE TABLE masks (
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    mask_id INTEGER NOT NULL,
    data BLOB NOT NULL,             -- run lengths
    PRIMARY KEY (session_id, mask_id)
);
CREATE TABLE requests (
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    request_key TEXT NOT NULL,
    object_ids TEXT NOT NULL,       -- JSON
    PRIMARY KEY (session_id, request_key)
);
CREATE TABLE uploads (
    request_key TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE
);
CREATE TABLE labels (
    label_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    position INTEGER                -- in the list; NULL = not offered to users
);
CREATE TABLE folder_images (
    name TEXT PRIMARY KEY,
    search_name TEXT NOT NULL,      -- the name in lower case
    modified_ns INTEGER NOT NULL,
    height INTEGER,                 -- NULL = not measured yet, or not readable
    width INTEGER,
    reason TEXT,                    -- why the image cannot be shown
    has_output INTEGER NOT NULL     -- 1 = the save folder has a label map of it
);
CREATE TABLE output_files (
    path TEXT NOT NULL,             -- relative to the save folder
    sha256 TEXT NOT NULL,           -- of a content that this server has written
    PRIMARY KEY (path, sha256)
);
"""


class Database:
    """One connection, used by all threads one after the other.

    Attributes:
        path: The SQLite file.
    """

    def __init__(self, state_dir: Path) -> None:
        """Open or create the file, and lock its folder until the process ends.

        Args:
            state_dir: Folder of the file; created if it does not exist.

        Raises:
            ValueError: Another server uses the folder, or the file is damaged or of
                another version.
            OSError: The folder cannot be created.
        """
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = state_dir / DATABASE_NAME
        self._lock = threading.RLock()
        self._lock_file = lock_folder(state_dir)
        try:
            self._connection = _connect(self.path)
        except sqlite3.Error as error:
            self._lock_file.close()
            raise ValueError(
                f"{self.path} cannot be opened: {error}; move it away to start with a "
                "new one, or restore it from a backup"
            ) from None
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _SCHEMA_VERSION:
            self.close()
            raise ValueError(
                f"{self.path} has format {version}, expected {_SCHEMA_VERSION}; use "
                "the version of mst_jax that wrote it, or move it away"
            )

    def close(self) -> None:
        """Close the file and release the lock of the folder."""
        with self._lock:
            self._connection.close()
            self._lock_file.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one change: all are stored at the end, or none.

        Raises:
            RequestRejected: The disk is full or fails (507); nothing is stored.
        """
        with self._lock, _report_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has rolled back already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def fetch_all(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[sqlite3.Row]:
        """Return the rows of a query.

        Args:
            sql: SELECT statement.
            parameters: Values of its parameters.
        """
        with self._lock, _report_errors():
            return self._connection.execute(sql, parameters).fetchall()

    def fetch_one(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> sqlite3.Row | None:
        """Return the first row of a query; None if there is none."""
        with self._lock, _report_errors():
            return self._connection.execute(sql, parameters).fetchone()


def lock_folder(folder: Path) -> Any:
    """Keep other servers out of a folder until the process ends, however it ends.

    Args:
        folder: Existing folder.

    Returns:
        The open lock file; closing it releases the lock.

    Raises:
        ValueError: Another server uses the folder.
    """
    # Kept open: the lock lasts as long as the file is open.
    file = open(folder / _LOCK_NAME, "w")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(
            f"another server uses the folder {folder}; stop it, or choose another "
            "--save or --sessions"
        ) from None
    except OSError:
        pass  # some cluster file systems have no locks
    return file


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file; create the tables if it is new."""
    # Autocommit: `Database.transaction` begins and ends transactions itself.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    # A log that grew large is cut back to 64 MiB.
    connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        os.chmod(path, 0o600)
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
        )
    return connection


@contextlib.contextmanager
def _report_errors() -> Iterator[None]:
    """Turn errors of the disk into one sentence for the user."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RequestRejected(
            f"the server cannot store the change ({error}); nothing was changed. Free "
            "space on its disk, then try again",
            507,
        ) from None
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise RequestRejected(
            f"the server's database is damaged ({error}); restore it from a backup",
            507,
        ) from None
