import itertools
import sqlite3

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.session_change import SessionChange
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.inference.click_session import Click
from tests.helpers.annotation_client import insert_session

same = np.testing.assert_array_equal
OBJECT = AnnotatedObject(1, None, "#2c82ff")


@pytest.fixture
def storage(database):
    insert_session(database, "one")
    return SessionStorage(database, "one")


def test_objects_are_read_as_they_were_stored(storage, database):
    clicks = (Click(1.5, 2, True), Click(0, 3, False))
    snapshot = ObjectSnapshot(clicks, initial_mask_id=3, mask_id=9, area=7)
    changed = OBJECT.append_snapshot(snapshot, max_snapshots=9).undo()
    storage.commit(SessionChange(revision=1, objects=[changed]))
    assert SessionStorage(database, "one").read_objects() == {1: changed}


def test_history_is_updated_without_writing_all_of_it(storage, database):
    states = [OBJECT]
    for area in range(1, 6):
        snapshot = ObjectSnapshot(area=area)
        states.append(states[-1].append_snapshot(snapshot, max_snapshots=3))
    states += [states[-1].undo(), states[-1].undo()]
    states.append(states[-1].append_snapshot(ObjectSnapshot(area=9), max_snapshots=3))
    for revision, (previous, state) in enumerate(itertools.pairwise(states)):
        storage.commit(
            SessionChange(revision=revision, objects=[state], previous={1: previous})
            if revision
            else SessionChange(revision=revision, objects=[state])
        )
        assert storage.read_objects() == {1: state}
    rows = database.fetch_all("SELECT * FROM snapshots")
    assert len(rows) == len(states[-1].snapshots)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_masks_are_identical_after_reading(storage, data):
    mask = data.draw(arrays.arrays(bool, (4, 3)))
    mask_id = storage.stage_mask(mask)
    same(storage.read_mask(mask_id), mask)
    storage.commit(SessionChange(revision=1))
    same(storage.read_mask(mask_id), mask)


def test_failed_change_leaves_nothing(storage, database):
    storage.commit(SessionChange(revision=1, request_key="key"))
    mask_id = storage.stage_mask(np.ones((2, 2), bool))
    snapshot = ObjectSnapshot(initial_mask_id=mask_id, area=4)
    changed = OBJECT.append_snapshot(snapshot, max_snapshots=9)
    # The key is written last, and it already exists.
    with pytest.raises(sqlite3.IntegrityError):
        storage.commit(SessionChange(revision=2, objects=[changed], request_key="key"))
    assert storage.read_objects() == {} and storage.read_row()["revision"] == 1
    assert database.fetch_all("SELECT * FROM masks") == []


def test_masks_that_no_snapshot_needs_are_deleted(storage, database):
    mask_ids = [storage.stage_mask(np.ones((2, 2), bool)) for _ in range(2)]
    first = OBJECT.append_snapshot(
        ObjectSnapshot(initial_mask_id=mask_ids[0]), max_snapshots=1
    )
    storage.commit(SessionChange(revision=1, objects=[first]))
    second = first.append_snapshot(
        ObjectSnapshot(initial_mask_id=mask_ids[1]), max_snapshots=1
    )
    storage.commit(SessionChange(revision=2, objects=[second], previous={1: first}))
    (row,) = database.fetch_all("SELECT mask_id FROM masks")
    assert row["mask_id"] == mask_ids[1]
    with pytest.raises(RequestRejected, match="deleted"):
        storage.read_mask(mask_ids[0])


def test_requests_are_remembered(storage):
    assert storage.find_request("key") is None
    storage.commit(SessionChange(revision=1, request_key="key", request_ids=[3, 4]))
    assert storage.find_request("key") == [3, 4]


def test_damaged_row_is_one_sentence(storage, database):
    storage.commit(SessionChange(revision=1, objects=[OBJECT]))
    for column, value in (("clicks", "x"), ("clicks", "[[1]]"), ("clicks", "3")):
        with database.transaction() as connection:
            connection.execute(f"UPDATE snapshots SET {column} = ?", (value,))
        with pytest.raises(RequestRejected, match="damaged"):
            storage.read_objects()


def test_deleted_session_rejects_changes(storage):
    storage.delete()
    with pytest.raises(RequestRejected, match="deleted") as caught:
        storage.commit(SessionChange(revision=1))
    assert caught.value.status_code == 404
    with pytest.raises(RequestRejected, match="no such session"):
        storage.read_row()
