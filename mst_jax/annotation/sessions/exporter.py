"""Write the finished objects to the save folder, in the background and after failures."""

import threading

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.annotation.sessions.session_export import read_saved_export
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.labels import LabelList

_RETRY_SECONDS = 2.0  # after a failure, for example a full disk
_PENDING = (
    "FROM sessions WHERE saved_revision > exported_revision AND output_stem IS NOT NULL"
)


class Exporter:
    """One thread that brings the output files up to date with the database.

    The database knows which images have finished masks that are not exported yet. So a
    crash or a full disk delays an export but loses none.
    """

    def __init__(
        self, database: Database, labels: LabelList, save_folder: SaveFolder | None
    ) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            database: Database of the server.
            labels: Labels of the server.
            save_folder: Output files; None = nothing is exported.
        """
        self._database, self._labels = database, labels
        self._save_folder = save_folder
        self._errors: dict[str, str] = {}
        self._new_work = threading.Condition()
        self._num_requests, self._is_closed = 1, False
        self._thread = threading.Thread(target=self._run_forever, daemon=True)

    def start(self) -> None:
        """Start the thread; it first repairs what an earlier server left behind."""
        if self._save_folder is not None:
            self._thread.start()

    def notify(self) -> None:
        """Export soon; called after a change of finished masks."""
        with self._new_work:
            self._num_requests += 1
            self._new_work.notify()

    def error_of(self, session_id: str) -> str | None:
        """Return why the files of a session could not be written; None = no error."""
        return self._errors.get(session_id)

    def close(self) -> None:
        """Export what is pending, and stop the thread."""
        with self._new_work:
            self._is_closed = True
            self._new_work.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def export_pending(self) -> bool:
        """Write all files that are not up to date.

        Returns:
            True if none is left.
        """
        if self._save_folder is None:
            return True
        rows = self._database.fetch_all(
            f"SELECT session_id, output_stem, saved_revision {_PENDING}"
        )
        for row in rows:
            session_id = row["session_id"]
            try:
                # Read after `saved_revision`: a change in between is exported again.
                export = read_saved_export(self._database, self._labels, session_id)
                self._save_folder.write_objects(row["output_stem"], export)
                with self._database.transaction() as connection:
                    connection.execute(
                        "UPDATE sessions SET exported_revision = ? WHERE session_id = ?",
                        (row["saved_revision"], session_id),
                    )
                self._errors.pop(session_id, None)
            except Exception as error:  # one damaged session must not stop the others
                reason = getattr(error, "strerror", None) or str(error)
                self._errors[session_id] = (
                    f"the files of {row['output_stem']} cannot be written to the save "
                    f"folder ({reason}); the work is stored, and the server tries again"
                )
        return not self._database.fetch_all(f"SELECT 1 {_PENDING} LIMIT 1")

    def _run_forever(self) -> None:
        is_complete, is_checked, num_done = True, False, 0
        while True:
            with self._new_work:
                timeout = None if is_complete else _RETRY_SECONDS
                self._new_work.wait_for(
                    lambda done=num_done: self._is_closed or self._num_requests > done,
                    timeout,
                )
                num_done, is_closed = self._num_requests, self._is_closed
            try:
                if not is_checked:
                    self._request_changed_files()
                    is_checked = True
                is_complete = self.export_pending()
            except RequestRejected:  # the database cannot be written now
                is_complete = False
            if is_closed:
                return

    def _request_changed_files(self) -> None:
        """Mark images whose files are missing or were changed as not exported."""
        if self._save_folder is None:
            return
        changed_stems = self._save_folder.find_changed_stems()
        if changed_stems:
            with self._database.transaction() as connection:
                connection.executemany(
                    "UPDATE sessions SET saved_revision = saved_revision + 1 "
                    "WHERE output_stem = ?",
                    [(stem,) for stem in changed_stems],
                )
