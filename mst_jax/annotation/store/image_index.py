"""The index of the served folder: every image with its size and the state of its work."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.store.database import Database

ImageStatus = Literal["done", "in_progress", "empty", "failed"]
"""All objects finished; an object not finished; no object; the image cannot be shown."""

_RESCAN_SECONDS = 5.0  # between the end of a scan and the next one
_BATCH_SIZE = 200  # images measured between two transactions

# One row for each image of the folder, with the state of its session if it has one.
_LISTED = """
WITH listed AS (
    SELECT name, search_name, folder_images.height, folder_images.width, reason,
        session_id, coalesce(num_objects, 0) AS num_objects,
        CASE
            WHEN reason IS NOT NULL THEN 'failed'
            WHEN session_id IS NULL THEN iif(has_output, 'done', 'empty')
            WHEN num_objects = 0 THEN 'empty'
            WHEN num_unfinished > 0 THEN 'in_progress'
            ELSE 'done'
        END AS status
    FROM folder_images LEFT JOIN sessions ON folder_name = name
)
"""
_FILTER = (
    "WHERE (:status IS NULL OR status = :status) "
    "AND (:search = '' OR instr(search_name, :search))"
)


class IndexedImage(NamedTuple):
    """An image of the folder.

    Attributes:
        name: Path relative to the folder, with "/" as separator.
        height: Height in pixels before the EXIF rotation; None = not measured.
        width: Width in pixels before the EXIF rotation; None = not measured.
        status: State of the work on the image.
        num_objects: Number of objects that have a mask.
        session_id: ID of its session; None = it was never opened.
        reason: Why the image cannot be shown; None = it can.
    """

    name: str
    height: int | None
    width: int | None
    status: ImageStatus
    num_objects: int
    session_id: str | None
    reason: str | None


class ImagePage(NamedTuple):
    """A part of the list of images.

    Attributes:
        images: Images of the page, sorted by name.
        offset: Index of the first one among all that match.
        total: Number of images that match.
        counts: Status -> number of images of the whole folder.
        is_scanning: True if images were still being measured when the list was read, so
            that it may change without any action of a user.
    """

    images: list[IndexedImage]
    offset: int
    total: int
    counts: dict[str, int]
    is_scanning: bool


class ImageIndex:
    """A table of the images, which a thread keeps up to date while it is used."""

    def __init__(
        self,
        database: Database,
        image_folder: ImageFolder,
        find_annotated: Callable[[Iterable[str]], set[str]] | None,
    ) -> None:
        """Use a folder; `request_scan` fills the table.

        Args:
            database: Database of the server.
            image_folder: Folder of the images.
            find_annotated: Returns those of some images that have mask files in the
                save folder; None = no save folder.
        """
        self._database, self._folder = database, image_folder
        self._find_annotated = find_annotated
        self._lock, self._is_listed = threading.Lock(), threading.Event()
        self._is_scanning, self._last_scan = False, -_RESCAN_SECONDS

    def request_scan(self) -> None:
        """Scan the folder in a thread, unless the last scan has just ended."""
        with self._lock:
            is_recent = time.monotonic() - self._last_scan < _RESCAN_SECONDS
            if self._is_scanning or is_recent:
                return
            self._is_scanning = True
        threading.Thread(target=self._scan, daemon=True).start()

    def read_page(
        self,
        *,
        offset: int,
        limit: int,
        status: ImageStatus | None = None,
        search: str = "",
        around: str | None = None,
    ) -> ImagePage:
        """Return a part of the list.

        Args:
            offset: Index of the first image.
            limit: Maximum number of images.
            status: Only images of this status; None = all.
            search: Only images whose name has this text, in upper or lower case.
            around: Name of an image that the page shall contain; it replaces `offset`.
        """
        self.request_scan()
        # Names are listed within milliseconds; measuring may take minutes.
        self._is_listed.wait(timeout=10)
        # Before the rows: a scan that ends in between would leave them old, and
        # whoever waits for its end would not read them again.
        is_scanning = self._is_scanning
        parameters = {"status": status, "search": search.lower(), "around": around}
        if around is not None:
            num_before = self._count(f"{_FILTER} AND name < :around", parameters)
            offset = max(0, num_before - limit // 2)
        rows = self._database.fetch_all(
            f"{_LISTED} SELECT name, height, width, status, num_objects, session_id, "
            f"reason FROM listed {_FILTER} ORDER BY name LIMIT :limit OFFSET :offset",
            {**parameters, "limit": limit, "offset": offset},
        )
        counts = {"done": 0, "in_progress": 0, "empty": 0, "failed": 0}
        count_rows = self._database.fetch_all(
            f"{_LISTED} SELECT status, count(*) AS number FROM listed GROUP BY status"
        )
        counts.update({row["status"]: row["number"] for row in count_rows})
        return ImagePage(
            [IndexedImage(*row) for row in rows],
            offset,
            self._count(_FILTER, parameters),
            counts,
            # Another request may have started a scan since.
            is_scanning or self._is_scanning,
        )

    @contextlib.contextmanager
    def report_damage(self, name: str) -> Iterator[None]:
        """Mark an image as failed if it turns out to be damaged or too large.

        The scan reads headers only. An image that can be read is no longer failed.

        Args:
            name: Path of the image that is read, relative to the folder.
        """
        try:
            yield
        except RequestRejected as error:
            if error.status_code in (413, 415):
                self._set_reason(name, str(error.detail))
            raise
        self._set_reason(name, None)

    def _set_reason(self, name: str, reason: str | None) -> None:
        row = self._database.fetch_one(
            "SELECT reason FROM folder_images WHERE name = ?", (name,)
        )
        if row is None or row["reason"] == reason:
            return
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE folder_images SET reason = ? WHERE name = ?", (reason, name)
            )

    def _count(self, condition: str, parameters: dict) -> int:
        row = self._database.fetch_one(
            f"{_LISTED} SELECT count(*) AS number FROM listed {condition}", parameters
        )
        return row["number"] if row else 0

    def _scan(self) -> None:
        try:
            self._list_names()
            self._is_listed.set()
            self._measure_images()
        except (RequestRejected, OSError):
            pass  # the disk is full or the folder is gone; the next scan tries again
        finally:
            self._is_listed.set()
            with self._lock:
                self._is_scanning, self._last_scan = False, time.monotonic()

    def _list_names(self) -> None:
        """Bring the names up to date; changed files lose their measures."""
        modified_times = self._folder.list_files()
        annotated = self._find_annotated(modified_times) if self._find_annotated else ()
        known_rows = self._database.fetch_all("SELECT name FROM folder_images")
        gone_names = {row["name"] for row in known_rows} - modified_times.keys()
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM folder_images WHERE name = ?",
                [(name,) for name in gone_names],
            )
            connection.executemany(
                "INSERT INTO folder_images (name, search_name, modified_ns, has_output) "
                "VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "has_output = excluded.has_output, "
                "height = iif(modified_ns = excluded.modified_ns, height, NULL), "
                "reason = iif(modified_ns = excluded.modified_ns, reason, NULL), "
                "modified_ns = excluded.modified_ns",
                [
                    (
                        name,
                        name.lower(),
                        modified_ns,
                        name in annotated,
                    )
                    for name, modified_ns in modified_times.items()
                ],
            )

    def _measure_images(self) -> None:
        """Read the sizes of the images that are not measured."""
        names = [
            row["name"]
            for row in self._database.fetch_all(
                "SELECT name FROM folder_images WHERE height IS NULL AND reason IS NULL "
                "ORDER BY name"
            )
        ]
        for start in range(0, len(names), _BATCH_SIZE):
            measures = []
            for name in names[start : start + _BATCH_SIZE]:
                try:
                    height, width = self._folder.measure(name)
                    measures.append((height, width, None, name))
                except (RequestRejected, OSError) as error:
                    reason = str(getattr(error, "detail", error))
                    measures.append((None, None, reason, name))
            with self._database.transaction() as connection:
                connection.executemany(
                    "UPDATE folder_images SET height = ?, width = ?, "
                    "reason = coalesce(?, reason) WHERE name = ?",
                    measures,
                )
