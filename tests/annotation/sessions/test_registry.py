import dataclasses
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.annotation.sessions import registry as registry_module
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.data.formats.images import encode_png, normalize_image_data
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import IMAGE, SMALL_LIMITS

ENCODED_IMAGE = normalize_image_data(encode_png(IMAGE))
CLICKS = [(20, 42, True), (50, 75, True), (3, 4, False)]
same = np.testing.assert_array_equal


def create_session(registry, **options):
    return registry.create_session(ENCODED_IMAGE, image_name="scene.png", **options)


@pytest.fixture
def open_folder(engine, database, tmp_path):
    """Return a function that opens a registry with a folder of images."""
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "a.bmp", "b.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))

    def open_folder() -> SessionRegistry:
        return SessionRegistry(
            database,
            engine,
            SMALL_LIMITS,
            image_folder=ImageFolder(tmp_path / "photos", SMALL_LIMITS),
            save_folder=SaveFolder(tmp_path / "masks", database),
        )

    return open_folder


def test_restarted_server_loses_nothing(registry, engine, database):
    session = create_session(registry)
    object_id = session.add_object("cat", "#123456").object_id
    for click in CLICKS:
        session.click(object_id, *click)
    session.update_object(object_id, finished=True)
    session.undo(object_id)
    other_id = session.add_object().object_id
    session.click(other_id, *CLICKS[1])
    new_registry = SessionRegistry(database, engine, SMALL_LIMITS)
    restored = new_registry.get_session(session.session_id)
    assert restored is not session and restored.objects == session.objects
    assert restored.image_name == session.image_name
    assert restored.read_image() == session.read_image() == ENCODED_IMAGE
    for object_id in session.objects:
        same(restored.get_probability(object_id), session.get_probability(object_id))


def inverse_model(image, clicks, prev_mask):
    """Return the logits of the analytic model with the opposite sign."""
    return -analytic_model(image, clicks, prev_mask)


def test_changed_model_or_zoom_keeps_all_masks(registry, database):
    session = create_session(registry)
    session.add_object()
    for click in CLICKS:
        session.click(1, *click)
    mask = session.get_mask(1)
    for model, zoom in (
        (analytic_model, ZoomOptions(size=None, flip_tta=False)),
        (analytic_model, ZoomOptions(size=32, min_side=16, flip_tta=False)),
        (inverse_model, registry._engine._zoom),
    ):
        engine = InferenceEngine(model, zoom=zoom)
        other = SessionRegistry(database, engine, SMALL_LIMITS)
        restored = other.get_session(session.session_id)
        same(restored.get_mask(1), mask)
        restored.get_probability(1)
        same(restored.get_mask(1), mask)
        restored.click(1, 30, 40, True)
        clicked_mask = restored.get_mask(1)
        assert clicked_mask.shape == mask.shape
        back = SessionRegistry(database, registry._engine, SMALL_LIMITS)
        returned = back.get_session(session.session_id)
        same(returned.get_mask(1), clicked_mask)
        returned.click(1, 31, 41, True)
        returned.undo(1)
        returned.undo(1)
        same(returned.get_mask(1), mask)


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


def test_repeated_upload_returns_the_same_session(registry):
    first = create_session(registry, request_key="a")
    assert create_session(registry, request_key="a") is first
    assert registry.find_upload("a") == first.session_id
    assert create_session(registry, request_key="b") is not first


def test_too_many_uploads_end_the_oldest_without_objects(registry):
    sessions = [create_session(registry) for _ in range(SMALL_LIMITS.max_sessions)]
    for session in (sessions[0], *sessions[2:]):
        session.add_object()
        session.click(1, *CLICKS[0])
    new = create_session(registry)
    with pytest.raises(RequestRejected, match="no such session"):
        registry.get_session(sessions[1].session_id)
    new.add_object()
    new.click(1, *CLICKS[0])
    with pytest.raises(RequestRejected, match="--max-sessions") as caught:
        create_session(registry)
    assert caught.value.status_code == 429
    registry.remove_session(sessions[2].session_id)
    create_session(registry)


def test_memory_of_images_is_limited(registry, engine):
    num_fitting = SMALL_LIMITS.max_image_bytes // engine.count_bytes(60, 84)
    sessions = [create_session(registry) for _ in range(num_fitting + 3)]
    for session in sessions:
        registry.get_session(session.session_id).add_object()
        session.click(1, *CLICKS[0])
    loaded = [session.renderer.num_device_bytes > 0 for session in sessions]
    assert loaded == [False] * 3 + [True] * num_fitting
    same(sessions[0].get_mask(1), sessions[-1].get_mask(1))


def test_least_recently_used_session_leaves_memory(registry, monkeypatch):
    monkeypatch.setattr(registry_module, "_MAX_LOADED", 2)
    session = create_session(registry)
    session.add_object()
    session_id, session_ref = session.session_id, weakref.ref(session)
    del session
    for _ in range(2):
        create_session(registry)
    gc.collect()
    assert session_ref() is None
    assert list(registry.get_session(session_id).objects) == [1]


def test_session_in_use_is_never_loaded_twice(registry, monkeypatch):
    monkeypatch.setattr(registry_module, "_MAX_LOADED", 1)
    first = create_session(registry)
    other_id = create_session(registry).session_id
    create_session(registry)
    assert registry.get_session(first.session_id) is first
    with ThreadPoolExecutor(8) as pool:
        sessions = list(pool.map(lambda _: registry.get_session(other_id), range(8)))
    assert len({id(session) for session in sessions}) == 1


def test_only_uploads_without_finished_objects_expire(engine, database, open_folder):
    folder_session = open_folder().open_folder_image("a.png")
    limits = dataclasses.replace(SMALL_LIMITS, expiry_seconds=60.0)
    registry = SessionRegistry(database, engine, limits)
    old, new, finished = (create_session(registry) for _ in range(3))
    finished.add_object()
    finished.click(1, *CLICKS[0])
    finished.update_object(1, finished=True)
    with database.transaction() as connection:
        connection.execute(
            "UPDATE sessions SET last_used = 0 WHERE session_id != ?", (new.session_id,)
        )
    SessionRegistry(database, engine, SMALL_LIMITS).remove_expired()
    assert registry.get_session(old.session_id) is old
    registry.remove_expired()
    with pytest.raises(RequestRejected, match="no such session"):
        registry.get_session(old.session_id)
    for session in (new, finished, folder_session):
        registry.get_session(session.session_id)


def test_image_of_the_folder_has_one_session(open_folder):
    registry = open_folder()
    session = registry.open_folder_image("a.png")
    assert registry.open_folder_image("a.png") is session
    assert registry.open_folder_image("b.png") is not session
    found = open_folder().open_folder_image("a.png")
    assert found.session_id == session.session_id
    with pytest.raises(RequestRejected, match="is kept") as caught:
        registry.remove_session(session.session_id)
    assert caught.value.status_code == 409


def test_changed_file_of_another_size_is_one_sentence(open_folder, tmp_path):
    session = open_folder().open_folder_image("a.png")
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(IMAGE[:50]))
    with pytest.raises(RequestRejected, match="50 rows and 84 columns now"):
        session.read_image()
    (tmp_path / "photos" / "a.png").unlink()
    with pytest.raises(RequestRejected, match="no image"):
        session.read_image()


def test_images_that_differ_in_the_suffix_have_their_own_files(open_folder, database):
    registry = open_folder()
    for name in ("a.png", "a.bmp", "b.png"):
        registry.open_folder_image(name)
    rows = database.fetch_all("SELECT folder_name, output_stem FROM sessions")
    assert dict(map(tuple, rows)) == {"a.png": "a.png", "a.bmp": "a", "b.png": "b"}


def test_masks_in_the_save_folder_become_objects(open_folder, tmp_path):
    label_map = np.zeros((60, 84), np.uint16)
    label_map[:9], label_map[9:20], label_map[50:] = 7, 300, 65535
    (tmp_path / "masks").mkdir()
    path = tmp_path / "masks" / "b.png"
    path.write_bytes(encode_png(label_map))
    data = path.read_bytes()
    registry = open_folder()
    session = registry.open_folder_image("b.png")
    assert list(session.objects) == [7, 300]
    same(session.get_mask(300), label_map == 300)
    assert registry.exporter.export_pending() and path.read_bytes() == data
    assert session.add_object().object_id == 301
    session.load_mask(301, label_map == 65535)
    session.update_object(301, finished=True)
    assert registry.exporter.export_pending()
    assert path.read_bytes() != data
    replaced = list((tmp_path / "sessions" / "replaced").iterdir())
    assert [item.read_bytes() for item in replaced] == [data]


def test_damaged_saved_file_is_not_overwritten(open_folder, tmp_path):
    (tmp_path / "masks").mkdir()
    for content in (b"no image", encode_png(np.zeros((3, 4), np.uint8))):
        (tmp_path / "masks" / "b.png").write_bytes(content)
        with pytest.raises(RequestRejected, match=r"b\.png is damaged"):
            open_folder().open_folder_image("b.png")
        assert (tmp_path / "masks" / "b.png").read_bytes() == content


def test_damaged_session_does_not_affect_others(registry, engine, database):
    damaged, healthy = create_session(registry), create_session(registry)
    for session in (damaged, healthy):
        session.add_object()
    with database.transaction() as connection:
        connection.execute(
            "UPDATE snapshots SET clicks = 'x' WHERE session_id = ?",
            (damaged.session_id,),
        )
    restarted = SessionRegistry(database, engine, Limits())
    with pytest.raises(RequestRejected, match="damaged"):
        restarted.get_session(damaged.session_id)
    assert list(restarted.get_session(healthy.session_id).objects) == [1]
