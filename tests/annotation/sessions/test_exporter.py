import time

import numpy as np
import pytest

from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import read_label_map
from tests.helpers.annotation_client import IMAGE, SMALL_LIMITS

MASK = np.zeros((60, 84), bool)
MASK[10:30, 20:50] = True


@pytest.fixture
def open_registry(engine, database, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(encode_png(IMAGE))

    def open_registry() -> SessionRegistry:
        return SessionRegistry(
            database,
            engine,
            SMALL_LIMITS,
            image_folder=ImageFolder(tmp_path / "photos", SMALL_LIMITS),
            save_folder=SaveFolder(tmp_path / "masks", database),
        )

    return open_registry


def finish_object(registry, name="a.png"):
    session = registry.open_folder_image(name)
    object_id = session.add_object().object_id
    session.load_mask(object_id, MASK)
    session.update_object(object_id, finished=True)
    return session


def test_finished_masks_are_exported_and_reopened_ones_stay(open_registry, tmp_path):
    registry = open_registry()
    session = finish_object(registry)
    assert registry.read_export_state(session.session_id) == (False, None)
    assert registry.exporter.export_pending()
    assert registry.read_export_state(session.session_id) == (True, None)
    path = tmp_path / "masks" / "a.png"
    np.testing.assert_array_equal(read_label_map(path), MASK)
    session.update_object(1, finished=False)
    session.load_mask(1, ~MASK)
    registry.exporter.export_pending()
    np.testing.assert_array_equal(read_label_map(path), MASK)
    session.update_object(1, finished=True)
    registry.exporter.export_pending()
    np.testing.assert_array_equal(read_label_map(path), ~MASK)
    session.remove_object(1)
    registry.exporter.export_pending()
    assert not read_label_map(path).any()


def test_thread_exports_and_closes(open_registry, tmp_path):
    registry = open_registry()
    registry.exporter.start()
    session = finish_object(registry)
    deadline = time.monotonic() + 10
    while not registry.read_export_state(session.session_id)[0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    finish_object(registry, "b.png")
    registry.exporter.close()
    assert (tmp_path / "masks" / "b.png").exists()


def test_failed_export_is_reported_and_repeated(open_registry, tmp_path):
    registry = open_registry()
    session = finish_object(registry)
    (tmp_path / "masks").write_text("in the way")
    assert not registry.exporter.export_pending()
    is_exported, error = registry.read_export_state(session.session_id)
    assert not is_exported and "the server tries again" in error
    (tmp_path / "masks").unlink()
    assert registry.exporter.export_pending()
    assert registry.read_export_state(session.session_id) == (True, None)


def test_new_server_repairs_missing_and_changed_files(open_registry, tmp_path):
    registry = open_registry()
    for name in ("a.png", "b.png"):
        finish_object(registry, name)
    registry.exporter.export_pending()
    (tmp_path / "masks" / "a.png").unlink()
    (tmp_path / "masks" / "b.json").write_text("{}")
    restarted = open_registry()
    restarted.exporter.start()
    restarted.exporter.close()
    assert (tmp_path / "masks" / "a.png").exists()
    assert (tmp_path / "masks" / "b.json").read_text() != "{}"
    assert (tmp_path / "sessions" / "replaced" / "b.json").read_text() == "{}"


def test_damaged_session_does_not_stop_the_others(open_registry, tmp_path, database):
    registry = open_registry()
    damaged = finish_object(registry)
    finish_object(registry, "b.png")
    with database.transaction() as connection:
        connection.execute(
            "UPDATE objects SET saved_mask = x'00' WHERE session_id = ?",
            (damaged.session_id,),
        )
    assert not registry.exporter.export_pending()
    assert registry.read_export_state(damaged.session_id)[1]
    assert (tmp_path / "masks" / "b.png").exists()
