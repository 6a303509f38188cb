import pytest

from mst_jax.annotation.store import session_change
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.annotation.store.session_change import SessionChange
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.inference.click_session import Click
from tests.helpers.annotation_client import insert_session


@pytest.fixture
def storage(database):
    insert_session(database, "one")
    return SessionStorage(database, "one")


def make_object(object_id: int, area: int = 0, **changes) -> AnnotatedObject:
    snapshots = (ObjectSnapshot(area=area),)
    return AnnotatedObject(object_id, None, "#000000", snapshots=snapshots, **changes)


def read_counts(database) -> tuple[int, int]:
    (row,) = database.fetch_all("SELECT num_objects, num_unfinished FROM sessions")
    return tuple(row)


def test_objects_with_a_mask_or_clicks_are_counted(storage, database):
    clicked = AnnotatedObject(
        4, None, "#000000", snapshots=(ObjectSnapshot((Click(1, 1, False),)),)
    )
    objects = [make_object(1), make_object(2, 5), make_object(3, 5, finished=True)]
    storage.commit(SessionChange(revision=1, objects=[*objects, clicked]))
    assert read_counts(database) == (3, 2)
    storage.commit(SessionChange(revision=2, deleted_ids=[2, 4]))
    assert read_counts(database) == (1, 0)
    storage.commit(SessionChange(revision=3, restored_ids=[2]))
    assert read_counts(database) == (2, 1)


def test_oldest_deleted_objects_are_forgotten(storage, database, monkeypatch):
    monkeypatch.setattr(session_change, "NUM_KEPT_DELETED", 2)
    storage.commit(
        SessionChange(revision=1, objects=[make_object(k) for k in range(1, 5)])
    )
    for object_id in (3, 1, 2):
        storage.commit(SessionChange(revision=1 + object_id, deleted_ids=[object_id]))
    kept = [object_id for object_id in range(1, 5) if storage.read_deleted(object_id)]
    assert kept == [2, 3]
    assert storage.read_known_ids() == {1, 2, 3, 4}


def test_oldest_requests_are_forgotten(storage, monkeypatch):
    monkeypatch.setattr(session_change, "NUM_KEPT_REQUESTS", 2)
    for revision, key in enumerate("abc"):
        storage.commit(SessionChange(revision=revision, request_key=key))
    assert [storage.find_request(key) for key in "abc"] == [None, [], []]


def test_only_changes_of_exports_ask_for_an_export(storage):
    storage.commit(SessionChange(revision=1))
    assert storage.read_row()["saved_revision"] == 0
    storage.commit(SessionChange(revision=2, is_export_changed=True))
    assert storage.read_row()["saved_revision"] == 1
