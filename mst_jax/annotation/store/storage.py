"""Store one session in the database, and load its objects and masks from it."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.run_lengths import decode_mask, encode_mask
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.session_change import SessionChange, write_change
from mst_jax.inference.click_session import Click


class SessionStorage:
    """The rows of one session; masks are staged and stored with the next change.

    Attributes:
        session_id: ID of the session.
    """

    def __init__(self, database: Database, session_id: str) -> None:
        """Use a session.

        Args:
            database: Database of the server.
            session_id: ID of the session; it need not exist.
        """
        self.session_id, self._database = session_id, database
        self._staged: dict[int, bytes] = {}
        self._next_mask_id = 1

    def read_row(self) -> Mapping[str, Any]:
        """Return the columns of the session, without the image.

        Raises:
            RequestRejected: There is no such session (404).
        """
        row = self._database.fetch_one(
            "SELECT session_id, image_name, folder_name, output_stem, height, width, "
            "remarks, revision, next_mask_id, saved_revision, exported_revision "
            "FROM sessions WHERE session_id = ?",
            (self.session_id,),
        )
        if row is None:
            raise RequestRejected(
                "there is no such session; it may have been deleted", 404
            )
        self._next_mask_id = max(row["next_mask_id"], self._next_mask_id)
        return dict(row)

    def read_image(self) -> bytes | None:
        """Return the encoded image; None for an image of the served folder."""
        row = self._database.fetch_one(
            "SELECT image FROM sessions WHERE session_id = ?", (self.session_id,)
        )
        return row["image"] if row else None

    def read_objects(self) -> dict[int, AnnotatedObject]:
        """Return object ID -> object, in the order of the IDs.

        Raises:
            RequestRejected: A row is damaged (409); other sessions are not affected.
        """
        return self._read_objects("deleted_revision IS NULL")

    def read_deleted(self, object_id: int) -> AnnotatedObject | None:
        """Return a deleted object; None if it is not known."""
        deleted = self._read_objects(
            # The oldest deleted objects have lost their histories.
            "deleted_revision IS NOT NULL AND object_id = :object_id AND EXISTS (SELECT "
            "1 FROM snapshots AS kept WHERE kept.session_id = :id AND kept.object_id = "
            ":object_id)",
            object_id,
        )
        return deleted.get(object_id)

    def read_known_ids(self) -> set[int]:
        """Return the IDs of all objects, including the deleted ones."""
        rows = self._database.fetch_all(
            "SELECT object_id FROM objects WHERE session_id = ?", (self.session_id,)
        )
        return {row["object_id"] for row in rows}

    def find_request(self, request_key: str) -> list[int] | None:
        """Return the objects of a request that was applied; None = not applied yet."""
        row = self._database.fetch_one(
            "SELECT object_ids FROM requests WHERE session_id = ? AND request_key = ?",
            (self.session_id, request_key),
        )
        return json.loads(row["object_ids"]) if row else None

    def stage_mask(self, mask: Bool[np.ndarray, "h w"]) -> int:
        """Keep a mask for the next change; return its mask ID.

        Args:
            mask: [h w] object pixels.
        """
        return self._stage(encode_mask(mask))

    def read_mask(self, mask_id: int) -> Bool[np.ndarray, "h w"]:
        """Return a mask.

        Args:
            mask_id: ID of the mask.
        """
        return decode_mask(self._read_data(mask_id))

    def discard_staged(self) -> None:
        """Forget the masks of an action that failed."""
        self._staged.clear()

    def commit(self, change: SessionChange) -> None:
        """Store a change and the staged masks in one transaction.

        Args:
            change: Change of the session.

        Raises:
            RequestRejected: The disk is full (507), or the session was deleted (404);
                nothing is stored.
        """
        try:
            with self._database.transaction() as connection:
                write_change(
                    connection,
                    self.session_id,
                    change,
                    new_masks=self._staged,
                    next_mask_id=self._next_mask_id,
                )
        finally:
            self._staged.clear()

    def delete(self) -> None:
        """Delete the session with everything in it."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE session_id = ?", (self.session_id,)
            )

    def _stage(self, data: bytes) -> int:
        self._next_mask_id += 1
        self._staged[self._next_mask_id - 1] = data
        return self._next_mask_id - 1

    def _read_data(self, mask_id: int) -> bytes:
        if mask_id in self._staged:
            return self._staged[mask_id]
        row = self._database.fetch_one(
            "SELECT data FROM masks WHERE session_id = ? AND mask_id = ?",
            (self.session_id, mask_id),
        )
        if row is None:
            raise RequestRejected("this mask was deleted; open the image again", 404)
        return row["data"]

    def _read_objects(
        self, condition: str, object_id: int = 0
    ) -> dict[int, AnnotatedObject]:
        """Return the objects that fulfill a condition, with their histories."""
        parameters = {"id": self.session_id, "object_id": object_id}
        object_rows = self._database.fetch_all(
            f"SELECT * FROM objects WHERE session_id = :id AND {condition} "
            "ORDER BY object_id",
            parameters,
        )
        snapshot_rows = self._database.fetch_all(
            "SELECT snapshots.* FROM snapshots JOIN objects USING (session_id, "
            f"object_id) WHERE session_id = :id AND {condition} "
            "ORDER BY snapshot_number",
            parameters,
        )
        try:
            snapshots_of: dict[int, list[ObjectSnapshot]] = {}
            for row in snapshot_rows:
                snapshots_of.setdefault(row["object_id"], []).append(_to_snapshot(row))
            return {
                row["object_id"]: _to_object(row, snapshots_of[row["object_id"]])
                for row in object_rows
            }
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RequestRejected(
                f"the stored session is damaged ({error!r}); restore the database from "
                "a backup",
                409,
            ) from None


def _to_snapshot(row: sqlite3.Row) -> ObjectSnapshot:
    return ObjectSnapshot(
        clicks=tuple(Click(*click) for click in json.loads(row["clicks"])),
        initial_mask_id=row["initial_mask_id"],
        mask_id=row["mask_id"],
        area=row["area"],
    )


def _to_object(row: sqlite3.Row, snapshots: list[ObjectSnapshot]) -> AnnotatedObject:
    annotated_object = AnnotatedObject(
        object_id=row["object_id"],
        label_id=row["label_id"],
        color=row["color"],
        finished=bool(row["finished"]),
        snapshots=tuple(snapshots),
        current_index=row["current_index"],
        num_dropped=row["num_dropped"],
        version=row["version"],
        revision=row["revision"],
        saved_version=row["saved_version"],
    )
    _ = annotated_object.current_snapshot  # raises IndexError for a damaged history
    return annotated_object
