"""Collect the objects of a session for an export: as they are now, or as finished."""

import dataclasses

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import (
    UNLABELED_NAME,
    LabeledMask,
    SessionExport,
)
from mst_jax.annotation.files.run_lengths import decode_mask, encode_mask
from mst_jax.annotation.sessions.annotation_session import AnnotationSession
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.labels import LabelList


def make_session_export(session: AnnotationSession, image_data: bytes) -> SessionExport:
    """Return all objects of a session that have a mask, as they are now.

    Args:
        session: Session to export.
        image_data: JPEG or PNG bytes of the image.
    """
    # Encoded masks are small; they are decoded one by one, without the lock.
    with session.lock:
        objects = list(session.objects.values())
        encoded_objects = [
            (
                annotated_object.object_id,
                session.labels.name_of(annotated_object.label_id),
                annotated_object.color,
                encode_mask(session.get_mask(annotated_object.object_id)),
            )
            for annotated_object in objects
            if annotated_object.current_snapshot.area
        ]
    session.labels.keep(UNLABELED_NAME)
    return SessionExport(
        session.image_name,
        image_data,
        session.height,
        session.width,
        lambda: (
            LabeledMask(*item[:3], decode_mask(item[3])) for item in encoded_objects
        ),
        {
            "image_name": session.image_name,
            "objects": [
                {"name": session.display_name(item), **dataclasses.asdict(item)}
                for item in objects
            ],
        },
        session.labels.category_ids,
    )


def read_saved_export(
    database: Database, labels: LabelList, session_id: str
) -> SessionExport:
    """Return the finished objects of a session, as the output files contain them.

    Args:
        database: Database of the server.
        labels: Labels of the server.
        session_id: ID of the session.
    """
    row = database.fetch_one(
        "SELECT image_name, height, width FROM sessions WHERE session_id = ?",
        (session_id,),
    )
    if row is None:
        raise RequestRejected("there is no such session", 404)
    object_rows = database.fetch_all(
        "SELECT object_id, label_id, color, saved_mask FROM objects WHERE session_id = ? "
        "AND deleted_revision IS NULL AND saved_mask IS NOT NULL ORDER BY object_id",
        (session_id,),
    )
    has_unlabeled = any(
        labels.name_of(item["label_id"]) is None for item in object_rows
    )
    if has_unlabeled:
        labels.keep(UNLABELED_NAME)
    return SessionExport(
        row["image_name"],
        b"",
        row["height"],
        row["width"],
        lambda: (
            LabeledMask(
                item["object_id"],
                labels.name_of(item["label_id"]),
                item["color"],
                decode_mask(item["saved_mask"]),
            )
            for item in object_rows
        ),
        {},
        labels.category_ids,
    )
