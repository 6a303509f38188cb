import dataclasses

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions.object_store import ObjectStore
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.storage import SessionStorage
from tests.helpers.annotation_client import insert_session

MASK = np.zeros((60, 84), bool)
MASK[10:30, 20:50] = True


class StoreOpener:
    """Opens stores of one session, and counts how often an export is requested."""

    def __init__(self, database):
        insert_session(database, "one")
        self.database, self.num_exports = database, 0

    def open(self, limits: Limits | None = None) -> ObjectStore:
        self.storage = SessionStorage(self.database, "one")

        def render_mask(snapshot: ObjectSnapshot):
            return self.storage.read_mask(snapshot.initial_mask_id)

        return ObjectStore(
            self.storage, render_mask, self.count_export, limits or Limits()
        )

    def count_export(self) -> None:
        self.num_exports += 1

    def add_masked(self, store: ObjectStore, finished: bool = False) -> AnnotatedObject:
        mask_id = self.storage.stage_mask(MASK)
        snapshot = ObjectSnapshot(initial_mask_id=mask_id, area=int(MASK.sum()))
        new_object = store.extend_history(
            store.new_object(), snapshot, finished=finished
        )
        return store.store_object(new_object)


@pytest.fixture
def opener(database):
    return StoreOpener(database)


def test_every_change_is_stored(opener):
    store = opener.open()
    opener.add_masked(store)
    store.remove_object(store.store_object(store.new_object(None, "#123456")).object_id)
    reopened = opener.open()
    assert reopened.objects == store.objects and reopened.revision == store.revision
    assert reopened.new_object().object_id == 3


def test_ids_leave_out_the_values_of_label_maps_that_mean_nothing(opener):
    store = opener.open()
    store.store_object(AnnotatedObject(65534, None, "#000000"))
    store.store_object(AnnotatedObject(1, None, "#000000"))
    assert [store.new_object().object_id for _ in range(2)] == [2, 3]
    assert list(store.objects) == [1, 65534]


def test_exports_are_requested_when_finished_masks_change(opener):
    store = opener.open()
    masked = opener.add_masked(store)
    assert opener.num_exports == 0
    finished = store.store_object(dataclasses.replace(masked, finished=True))
    assert (opener.num_exports, finished.saved_version) == (1, masked.version)
    reopened = store.store_object(dataclasses.replace(finished, finished=False))
    store.store_object(reopened.undo())
    assert opener.num_exports == 1
    store.store_object(dataclasses.replace(store.get_object(1), color="#000000"))
    assert opener.num_exports == 2
    store.remove_object(1)
    assert opener.num_exports == 3
    store.restore_object(1)
    assert opener.num_exports == 4
    row = opener.database.fetch_one("SELECT saved_mask FROM objects")
    assert row["saved_mask"] is not None


def test_unknown_objects_and_too_many_are_rejected(opener):
    store = opener.open(dataclasses.replace(Limits(), max_objects=2))
    with pytest.raises(RequestRejected, match="no object 1"):
        store.get_object(1)
    store.check_num_objects(2)
    opener.add_masked(store)
    with pytest.raises(RequestRejected, match="maximum is 2"):
        store.check_num_objects(2)
