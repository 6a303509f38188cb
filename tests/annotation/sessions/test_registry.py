import dataclasses
import gc
import json
import os
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.data.formats.images import encode_png, normalize_image_data
from tests.helpers.annotation_client import IMAGE, SMALL_LIMITS

ENCODED_IMAGE = normalize_image_data(encode_png(IMAGE))
CLICKS = [(20, 42, True), (50, 75, True), (3, 4, False)]
same = np.testing.assert_array_equal


def create_session(registry, **options):
    return registry.create_session(ENCODED_IMAGE, image_name="scene.png", **options)


def test_restarted_server_loses_nothing(registry, engine, tmp_path):
    session = create_session(registry)
    object_id = session.add_object("cat", "#123456").object_id
    for click in CLICKS:
        session.click(object_id, *click)
    session.update_object(object_id, finished=True)
    session.undo(object_id)
    other_id = session.add_object().object_id
    session.click(other_id, *CLICKS[1])
    new_registry = SessionRegistry(tmp_path / "sessions", engine, SMALL_LIMITS)
    restored = new_registry.get_session(session.session_id)
    assert restored is not session and restored.objects == session.objects
    assert restored.image_name == session.image_name
    assert restored.image_data == session.image_data
    for object_id in session.objects:
        same(restored.get_probability(object_id), session.get_probability(object_id))
    assert restored.redo(1) == session.redo(1)
    same(restored.get_mask(1), session.get_mask(1))
    restored.click(1, 5, 5, True), session.click(1, 5, 5, True)
    same(restored.get_probability(1), session.get_probability(1))
    assert restored.add_object().object_id == session.add_object().object_id


def test_session_ids_cannot_be_guessed(registry):
    first_id, second_id = (create_session(registry).session_id for _ in range(2))
    assert len(first_id) >= 20 and first_id != second_id


@pytest.mark.parametrize(
    "session_id", ["x" * 24, "..", "../sessions", "", "a/b", "%2e%2e", "\0" * 20]
)
def test_unknown_session_is_rejected(registry, session_id):
    for method in (registry.get_session, registry.remove_session):
        with pytest.raises(RequestRejected) as caught:
            method(session_id)
        assert caught.value.status_code == 404


def test_number_of_sessions_is_limited(registry):
    sessions = [create_session(registry) for _ in range(SMALL_LIMITS.max_sessions)]
    with pytest.raises(RequestRejected, match="5 images are open") as caught:
        create_session(registry)
    assert caught.value.status_code == 429
    registry.remove_session(sessions[2].session_id)
    create_session(registry)


def test_least_recently_used_session_leaves_memory_and_returns(registry):
    session = create_session(registry)
    session.add_object()
    session.click(1, *CLICKS[0])
    session_id, prob = session.session_id, session.get_probability(1)
    session_ref = weakref.ref(session)
    del session
    for _ in range(SMALL_LIMITS.max_in_memory):
        create_session(registry)
    gc.collect()
    assert session_ref() is None
    assert registry.num_in_memory == SMALL_LIMITS.max_in_memory
    same(registry.get_session(session_id).get_probability(1), prob)


def test_session_in_use_is_never_loaded_twice(registry):
    first = create_session(registry)
    other_ids = [
        create_session(registry).session_id for _ in range(SMALL_LIMITS.max_in_memory)
    ]
    assert registry.get_session(first.session_id) is first
    other_id = other_ids[0]
    del first
    with ThreadPoolExecutor(8) as pool:
        sessions = list(pool.map(lambda _: registry.get_session(other_id), range(8)))
    assert len({id(session) for session in sessions}) == 1


def test_expiry_frees_memory_and_disk(registry, tmp_path):
    old, new = create_session(registry), create_session(registry)
    state_path = tmp_path / "sessions" / old.session_id / "state.json"
    long_ago = time.time() - SMALL_LIMITS.expiry_seconds - 60
    os.utime(state_path, (long_ago, long_ago))
    old_id, old_ref = old.session_id, weakref.ref(old)
    del old
    registry.remove_expired()
    gc.collect()
    assert old_ref() is None and registry.num_in_memory == 1
    remaining = [path.name for path in (tmp_path / "sessions").iterdir()]
    assert remaining == [new.session_id]
    with pytest.raises(RequestRejected, match="expired"):
        registry.get_session(old_id)


def test_use_postpones_expiry(engine, tmp_path):
    limits = dataclasses.replace(SMALL_LIMITS, expiry_seconds=60.0)
    registry = SessionRegistry(tmp_path, engine, limits)
    session_id = create_session(registry).session_id
    almost_expired = time.time() - 59
    state_path = tmp_path / session_id / "state.json"
    os.utime(state_path, (almost_expired, almost_expired))
    registry.get_session(session_id)
    assert time.time() - state_path.stat().st_mtime < 5


def test_session_of_a_folder_image_is_found_again(registry, engine, tmp_path):
    session = create_session(registry, source_key="/photos/a.png 17")
    assert registry.find_by_source("/photos/a.png 17") is session
    assert create_session(registry, source_key="/photos/a.png 17") is session
    assert registry.find_by_source("/photos/a.png 18") is None
    assert registry.find_by_source(None) is None
    new_registry = SessionRegistry(tmp_path / "sessions", engine, SMALL_LIMITS)
    found = new_registry.find_by_source("/photos/a.png 17")
    assert found.session_id == session.session_id
    registry.remove_session(session.session_id)
    assert registry.find_by_source("/photos/a.png 17") is None


def test_session_of_another_version_is_not_opened(registry, engine, tmp_path):
    session = create_session(registry, source_key="/photos/a.png 17")
    state_path = tmp_path / "sessions" / session.session_id / "state.json"
    state = json.loads(state_path.read_text())
    state_path.write_text(json.dumps(state | {"format": 1}))
    new_registry = SessionRegistry(tmp_path / "sessions", engine, SMALL_LIMITS)
    assert new_registry.find_by_source("/photos/a.png 17") is None
    with pytest.raises(RequestRejected, match="version"):
        new_registry.get_session(session.session_id)
