import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.session_export import (
    make_session_export,
    read_saved_export,
)
from mst_jax.data.formats.images import encode_png, normalize_image_data
from tests.helpers.annotation_client import IMAGE

MASK = np.zeros((60, 84), bool)
MASK[10:30, 20:50] = True
same = np.testing.assert_array_equal


@pytest.fixture
def session(registry):
    image = normalize_image_data(encode_png(IMAGE))
    session = registry.create_session(image, image_name="scene.png")
    session.add_object("empty")
    session.add_object("cat")
    session.load_mask(2, MASK)
    return session


def test_export_holds_the_present_objects_with_a_mask(session):
    export = make_session_export(session, b"image")
    session.load_mask(2, ~MASK)
    (exported,) = export.iter_objects()
    assert exported[:3] == (2, "cat", session.get_object(2).color)
    same(exported.mask, MASK)
    assert export.image_data == b"image" and export.category_ids["cat"] == 2
    assert [item["name"] for item in export.state["objects"]] == ["empty", "cat"]


def test_saved_export_holds_the_last_finished_masks(session, registry, database):
    def read_saved():
        return read_saved_export(database, registry.labels, session.session_id)

    assert list(read_saved().iter_objects()) == []
    session.update_object(2, finished=True)
    session.update_object(2, finished=False)
    session.load_mask(2, ~MASK)
    (saved,) = read_saved().iter_objects()
    assert saved[:2] == (2, "cat")
    same(saved.mask, MASK)
    session.remove_object(2)
    assert list(read_saved().iter_objects()) == []
    with pytest.raises(RequestRejected):
        read_saved_export(database, registry.labels, "unknown")
