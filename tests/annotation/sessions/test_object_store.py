import dataclasses

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.annotation.sessions.object_store import DEFAULT_COLORS, ObjectStore
from mst_jax.annotation.sessions.rendering import SnapshotRenderer
from mst_jax.annotation.sessions.storage import SessionStorage
from mst_jax.data.formats.images import encode_png
from tests.helpers.annotation_client import IMAGE

MASK = np.zeros((60, 84), bool)
MASK[10:30, 20:50] = True


@pytest.fixture
def storage(tmp_path):
    storage = SessionStorage(tmp_path / "session")
    storage.write_image(encode_png(IMAGE))
    ObjectStore.write_empty(storage, image_name="a.png", source_key="/photos/a.png 1")
    return storage


@pytest.fixture
def autosave(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE))
    return Autosave(tmp_path / "masks", ImageFolder(tmp_path / "photos", Limits()))


@pytest.fixture
def open_store(storage, engine, autosave):
    def open_store() -> ObjectStore:
        state = storage.read_state()
        renderer = SnapshotRenderer(storage, engine, state["next_array_id"])
        return ObjectStore(storage, state, renderer, autosave)

    return open_store


def add_masked_object(store: ObjectStore, name: str):
    added = store.add_object(name, None)
    snapshot = store.renderer.store_mask(MASK)
    return store.store_object(added.append_snapshot(snapshot, max_snapshots=9))


def test_every_change_is_on_disk(open_store):
    store = open_store()
    add_masked_object(store, "cat")
    store.remove_object(store.add_object("dog", "#123456").object_id)
    reopened = open_store()
    assert reopened.objects == store.objects
    assert reopened.renderer.next_array_id == store.renderer.next_array_id == 2
    assert reopened.add_object(None, None).object_id == 3


def test_default_names_and_colors_follow_the_ids(open_store):
    store = open_store()
    added = [store.add_object(None, None) for _ in range(len(DEFAULT_COLORS) + 1)]
    assert added[1].name == "object 2"
    assert tuple(item.color for item in added) == (*DEFAULT_COLORS, DEFAULT_COLORS[0])


def test_finished_objects_are_autosaved_and_restored(open_store, autosave):
    store = open_store()
    masked = add_masked_object(store, "cat")
    assert autosave.read_objects("a.png", 60, 84) == []
    store.store_object(dataclasses.replace(masked, finished=True))
    (saved,) = autosave.read_objects("a.png", 60, 84)
    assert (saved.object_id, saved.name) == (1, "cat")
    store.objects.clear()
    store.restore_autosaved()
    assert store.get_object(1).finished and store.get_object(1).name == "cat"
    store.remove_object(1)
    assert autosave.read_objects("a.png", 60, 84) == []


def test_export_holds_the_objects_with_a_mask(open_store):
    store = open_store()
    store.add_object("empty", None)
    add_masked_object(store, "cat")
    (exported,) = store.make_export().iter_objects()
    assert (exported.object_id, exported.name) == (2, "cat")
    np.testing.assert_array_equal(exported.mask, MASK)
    assert list(store.make_export(finished_only=True).iter_objects()) == []


def test_unknown_object_and_deleted_session_are_rejected(open_store, storage):
    store = open_store()
    with pytest.raises(RequestRejected, match="no object 1"):
        store.get_object(1)
    storage.delete_folder()
    with pytest.raises(RequestRejected, match="deleted"):
        store.get_object(1)
