"""Write one change of a session: objects, snapshots, masks and the request's key."""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot

NUM_KEPT_REQUESTS = 1000
"""Number of request keys of a session that are remembered."""

NUM_KEPT_DELETED = 100
"""Number of deleted objects of a session that can be restored."""

# Objects that count: deleted ones and those without a mask do not.
_UPDATE_COUNTS = """
UPDATE sessions SET (num_objects, num_unfinished) = (
    SELECT count(*), count(*) FILTER (WHERE NOT finished)
    FROM objects JOIN snapshots ON snapshots.session_id = objects.session_id
        AND snapshots.object_id = objects.object_id
        AND snapshot_number = num_dropped + current_index
    WHERE objects.session_id = :id AND deleted_revision IS NULL
        AND (area > 0 OR clicks != '[]')
) WHERE session_id = :id
"""


@dataclasses.dataclass(frozen=True)
class SessionChange:
    """What one action changes; stored completely or not at all.

    Attributes:
        revision: Revision of the session after the change.
        objects: Objects that were added or changed.
        previous: Object ID -> the object before, for those that existed.
        saved_masks: Object ID -> run lengths of the mask that exports contain from now
            on; None = the exports lose the object.
        deleted_ids: Objects that were deleted.
        restored_ids: Objects that are no longer deleted.
        is_export_changed: True if the exports change.
        request_key: Key of the client's request; None = it has none.
        request_ids: Objects that the response to the request shows.
    """

    revision: int
    objects: Sequence[AnnotatedObject] = ()
    previous: Mapping[int, AnnotatedObject] = dataclasses.field(default_factory=dict)
    saved_masks: Mapping[int, bytes | None] = dataclasses.field(default_factory=dict)
    deleted_ids: Sequence[int] = ()
    restored_ids: Sequence[int] = ()
    is_export_changed: bool = False
    request_key: str | None = None
    request_ids: Sequence[int] = ()


def write_change(
    connection: sqlite3.Connection,
    session_id: str,
    change: SessionChange,
    *,
    new_masks: Mapping[int, bytes],
    next_mask_id: int,
) -> None:
    """Write all rows of a change.

    Args:
        connection: Connection with an open transaction.
        session_id: ID of the session.
        change: Change to write.
        new_masks: Mask ID -> run lengths of the masks that the change names.
        next_mask_id: ID for the next mask.

    Raises:
        RequestRejected: The session was deleted (404).
    """
    # 1. The session itself; it may have been deleted in the meantime.
    cursor = connection.execute(
        "UPDATE sessions SET revision = ?, next_mask_id = ?, last_used = ?, "
        "saved_revision = saved_revision + ? WHERE session_id = ?",
        (
            change.revision,
            next_mask_id,
            time.time(),
            int(change.is_export_changed),
            session_id,
        ),
    )
    if cursor.rowcount != 1:
        raise RequestRejected("this session was deleted; open the image again", 404)
    # 2. Masks, then the objects that name them.
    connection.executemany(
        "INSERT INTO masks VALUES (?, ?, ?)",
        [(session_id, mask_id, data) for mask_id, data in new_masks.items()],
    )
    for annotated_object in change.objects:
        previous = change.previous.get(annotated_object.object_id)
        _write_object(connection, session_id, annotated_object, previous)
    connection.executemany(
        "UPDATE objects SET saved_mask = ? WHERE session_id = ? AND object_id = ?",
        [
            (mask, session_id, object_id)
            for object_id, mask in change.saved_masks.items()
        ],
    )
    # 3. Deleted objects keep their rows, so that they can be restored.
    for object_ids, deleted_revision in (
        (change.deleted_ids, change.revision),
        (change.restored_ids, None),
    ):
        connection.executemany(
            "UPDATE objects SET deleted_revision = ? WHERE session_id = ? AND "
            "object_id = ?",
            [(deleted_revision, session_id, object_id) for object_id in object_ids],
        )
    if change.deleted_ids:
        _drop_old_deleted(connection, session_id)
    # 4. The request, so that a repeated one is recognized.
    if change.request_key is not None:
        connection.execute(
            "INSERT INTO requests VALUES (?, ?, ?)",
            (session_id, change.request_key, json.dumps(list(change.request_ids))),
        )
        connection.execute(
            "DELETE FROM requests WHERE session_id = ?1 AND rowid NOT IN (SELECT rowid "
            "FROM requests WHERE session_id = ?1 ORDER BY rowid DESC LIMIT ?2)",
            (session_id, NUM_KEPT_REQUESTS),
        )
    connection.execute(_UPDATE_COUNTS, {"id": session_id})


def _write_object(
    connection: sqlite3.Connection,
    session_id: str,
    annotated_object: AnnotatedObject,
    previous: AnnotatedObject | None,
) -> None:
    """Write an object, those snapshots that are new, and drop what it has lost."""
    object_id = annotated_object.object_id
    connection.execute(
        "INSERT INTO objects (session_id, object_id, label_id, color, finished, "
        "current_index, num_dropped, version, revision, saved_version) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET label_id = excluded.label_id, color = excluded.color, "
        "finished = excluded.finished, current_index = excluded.current_index, "
        "num_dropped = excluded.num_dropped, version = excluded.version, "
        "revision = excluded.revision, saved_version = excluded.saved_version",
        (
            *(session_id, object_id, annotated_object.label_id, annotated_object.color),
            *(annotated_object.finished, annotated_object.current_index),
            *(annotated_object.num_dropped, annotated_object.version),
            *(annotated_object.revision, annotated_object.saved_version),
        ),
    )
    # Snapshots never change, so only those beyond the common ones are written.
    old_snapshots = _number_snapshots(previous) if previous else {}
    new_snapshots = _number_snapshots(annotated_object)
    dropped_numbers = [
        number
        for number, snapshot in old_snapshots.items()
        if new_snapshots.get(number) is not snapshot
    ]
    connection.executemany(
        "DELETE FROM snapshots WHERE session_id = ? AND object_id = ? AND "
        "snapshot_number = ?",
        [(session_id, object_id, number) for number in dropped_numbers],
    )
    connection.executemany(
        "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(session_id, object_id, number, json.dumps(snapshot.clicks)),
                *(snapshot.initial_mask_id, snapshot.mask_id, snapshot.area),
            )
            for number, snapshot in new_snapshots.items()
            if old_snapshots.get(number) is not snapshot
        ],
    )
    if previous:
        unused_ids = previous.mask_ids() - annotated_object.mask_ids()
        connection.executemany(
            "DELETE FROM masks WHERE session_id = ? AND mask_id = ?",
            [(session_id, mask_id) for mask_id in unused_ids],
        )


def _number_snapshots(
    annotated_object: AnnotatedObject,
) -> dict[int, ObjectSnapshot]:
    return dict(enumerate(annotated_object.snapshots, annotated_object.num_dropped))


def _drop_old_deleted(connection: sqlite3.Connection, session_id: str) -> None:
    """Forget all deleted objects but the last `NUM_KEPT_DELETED`, with their masks."""
    rows = connection.execute(
        "SELECT object_id FROM objects WHERE session_id = ? AND deleted_revision IS NOT "
        "NULL ORDER BY deleted_revision DESC LIMIT -1 OFFSET ?",
        (session_id, NUM_KEPT_DELETED),
    ).fetchall()
    for row in rows:
        parameters = (session_id, row["object_id"])
        for column in ("initial_mask_id", "mask_id"):
            connection.execute(
                f"DELETE FROM masks WHERE session_id = ? AND mask_id IN (SELECT "
                f"{column} FROM snapshots WHERE session_id = ? AND object_id = ?)",
                (session_id, *parameters),
            )
        connection.execute(
            "DELETE FROM snapshots WHERE session_id = ? AND object_id = ?", parameters
        )
