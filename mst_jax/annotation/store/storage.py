"""Store one session in the database, and load its objects and arrays from it."""

import io
import json
import sqlite3
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.run_lengths import decode_mask, encode_mask
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.session_change import SessionChange, write_change
from mst_jax.inference.click_session import Click


class SessionStorage:
    """The rows of one session; arrays are staged and stored with the next change."""

    def __init__(self, database: Database, session_id: str) -> None:
        """Use a session.

        Args:
            database: Database of the server.
            session_id: ID of the session; it need not exist.
        """
        self._database, self._session_id = database, session_id
        self._staged: dict[int, bytes] = {}
        self._next_array_id = 1

    def read_row(self) -> Mapping[str, Any]:
        """Return the columns of the session, without the image.

        Raises:
            RequestRejected: There is no such session (404).
        """
        row = self._database.fetch_one(
            "SELECT session_id, image_name, folder_name, output_stem, height, width, "
            "revision, next_array_id, saved_revision, exported_revision FROM sessions "
            "WHERE session_id = ?",
            (self._session_id,),
        )
        if row is None:
            raise RequestRejected(
                "there is no such session; it may have been deleted", 404
            )
        self._next_array_id = max(row["next_array_id"], self._next_array_id)
        return dict(row)

    def read_image(self) -> bytes | None:
        """Return the encoded image; None for an image of the served folder."""
        row = self._database.fetch_one(
            "SELECT image FROM sessions WHERE session_id = ?", (self._session_id,)
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
            "SELECT object_id FROM objects WHERE session_id = ?", (self._session_id,)
        )
        return {row["object_id"] for row in rows}

    def find_request(self, request_key: str) -> list[int] | None:
        """Return the objects of a request that was applied; None = not applied yet."""
        row = self._database.fetch_one(
            "SELECT object_ids FROM requests WHERE session_id = ? AND request_key = ?",
            (self._session_id, request_key),
        )
        return json.loads(row["object_ids"]) if row else None

    def stage_prediction(self, prob: Float[np.ndarray, "i j"]) -> int:
        """Keep a prediction of the network for the next change; return its array ID.

        Args:
            prob: [i j] probability of a region of interest.
        """
        file = io.BytesIO()
        np.save(file, prob)
        # Level 1: higher levels cost a click more time than they save space.
        return self._stage(zlib.compress(file.getvalue(), 1))

    def read_prediction(self, array_id: int) -> Float[np.ndarray, "i j"]:
        """Return a prediction, bitwise identical to the one that was staged.

        Args:
            array_id: ID of the array.
        """
        file = io.BytesIO(zlib.decompress(self._read_array(array_id)))
        return np.load(file, allow_pickle=False)

    def stage_mask(self, mask: Bool[np.ndarray, "h w"]) -> int:
        """Keep a mask for the next change; return its array ID.

        Args:
            mask: [h w] object pixels.
        """
        return self._stage(encode_mask(mask))

    def read_mask(self, array_id: int) -> Bool[np.ndarray, "h w"]:
        """Return a mask.

        Args:
            array_id: ID of the array.
        """
        return decode_mask(self._read_array(array_id))

    def discard_staged(self) -> None:
        """Forget the arrays of an action that failed."""
        self._staged.clear()

    def commit(self, change: SessionChange) -> None:
        """Store a change and the staged arrays in one transaction.

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
                    self._session_id,
                    change,
                    new_arrays=self._staged,
                    next_array_id=self._next_array_id,
                )
        finally:
            self._staged.clear()

    def delete(self) -> None:
        """Delete the session with everything in it."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE session_id = ?", (self._session_id,)
            )

    def _stage(self, data: bytes) -> int:
        self._next_array_id += 1
        self._staged[self._next_array_id - 1] = data
        return self._next_array_id - 1

    def _read_array(self, array_id: int) -> bytes:
        if array_id in self._staged:
            return self._staged[array_id]
        row = self._database.fetch_one(
            "SELECT data FROM arrays WHERE session_id = ? AND array_id = ?",
            (self._session_id, array_id),
        )
        if row is None:
            raise RequestRejected("this mask was deleted; open the image again", 404)
        return row["data"]

    def _read_objects(
        self, condition: str, object_id: int = 0
    ) -> dict[int, AnnotatedObject]:
        """Return the objects that fulfill a condition, with their histories."""
        parameters = {"id": self._session_id, "object_id": object_id}
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
        prediction_id=row["prediction_id"],
        roi=tuple(json.loads(row["roi"])),
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
