"""Insert finished objects from files: the save folder, COCO files and label maps."""

import sqlite3
from collections.abc import Sequence

from mst_jax.annotation.files.export_formats import LabeledMask
from mst_jax.annotation.files.run_lengths import encode_mask
from mst_jax.annotation.store.history import (
    AnnotatedObject,
    ObjectSnapshot,
    default_color,
)
from mst_jax.annotation.store.session_change import SessionChange, write_change


def insert_saved_objects(
    connection: sqlite3.Connection,
    session_id: str,
    labeled_masks: Sequence[LabeledMask],
    label_ids: Sequence[int | None],
) -> None:
    """Add the objects of output files to a new session; they are not exported again.

    Args:
        connection: Connection with an open transaction.
        session_id: ID of a session without objects.
        labeled_masks: Objects with their IDs.
        label_ids: Label of each object; None = no label.
    """
    masks, objects, saved_masks = {}, [], {}
    for index, (labeled, label_id) in enumerate(
        zip(labeled_masks, label_ids, strict=True), start=1
    ):
        area = int(labeled.mask.sum())
        masks[index] = encode_mask(labeled.mask)
        if area:
            saved_masks[labeled.object_id] = masks[index]
        objects.append(
            AnnotatedObject(
                labeled.object_id,
                label_id,
                labeled.color or default_color(labeled.object_id),
                finished=True,
                snapshots=(ObjectSnapshot(initial_mask_id=index, area=area),),
                version=1,
                revision=1,
                saved_version=1 if area else None,
            )
        )
    change = SessionChange(revision=1, objects=objects, saved_masks=saved_masks)
    write_change(
        connection,
        session_id,
        change,
        new_masks=masks,
        next_mask_id=len(masks) + 1,
    )
