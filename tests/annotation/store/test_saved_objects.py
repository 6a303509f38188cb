import numpy as np

from mst_jax.annotation.files.export_formats import LabeledMask
from mst_jax.annotation.store.saved_objects import insert_saved_objects
from mst_jax.annotation.store.storage import SessionStorage
from tests.helpers.annotation_client import insert_session


def test_objects_are_finished_saved_and_not_exported_again(database):
    insert_session(database, "one")
    mask = np.zeros((60, 84), bool)
    mask[3:9] = True
    labeled_masks = [
        LabeledMask(7, "cat", "#123456", mask),
        LabeledMask(300, None, None, ~mask),
        LabeledMask(301, None, None, np.zeros_like(mask)),
    ]
    with database.transaction() as connection:
        insert_saved_objects(connection, "one", labeled_masks, [5, None, None])
    storage = SessionStorage(database, "one")
    row, objects = storage.read_row(), storage.read_objects()
    assert row["saved_revision"] == row["exported_revision"]
    assert [item.saved_version for item in objects.values()] == [1, 1, None]
    assert all(item.finished for item in objects.values()) and list(objects) == [
        7,
        300,
        301,
    ]
    assert (objects[7].label_id, objects[7].color) == (5, "#123456")
    for labeled in labeled_masks:
        snapshot = objects[labeled.object_id].current_snapshot
        np.testing.assert_array_equal(
            storage.read_mask(snapshot.initial_mask_id), labeled.mask
        )
