import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pydantic import ValidationError

from mst_jax.annotation.api import schemas
from mst_jax.annotation.store.history import AnnotatedObject, ObjectSnapshot
from mst_jax.data.formats.images import encode_png, normalize_image_data
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import TokenBoxes
from tests.helpers.annotation_client import IMAGE


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 0], [0, 0]], [4]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
        ([[0, 1, 1], [0, 0, 1]], [2, 1, 1, 2]),
        ([[1]], [0, 1]),
    ],
)
def test_run_lengths_of_small_masks(mask, counts):
    mask = np.array(mask, bool)
    encoded = schemas.encode_run_lengths(mask).model_dump()
    assert encoded == {"size": mask.shape, "counts": counts}


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_pycocotools_decodes_run_lengths(mask):
    encoded = schemas.encode_run_lengths(mask)
    compressed = coco_mask.frPyObjects(encoded.model_dump(), *mask.shape)
    np.testing.assert_array_equal(coco_mask.decode(compressed).astype(bool), mask)


def test_no_object_of_a_response_is_newer_than_its_export_state(registry):
    image = normalize_image_data(encode_png(IMAGE))
    session = registry.create_session(image, image_name="scene.png")
    session.add_object()

    def read_export_state_while_an_object_is_added():
        state = registry.read_export_state(session.session_id)
        session.add_object()
        return state

    response = schemas.changes_response(
        session, read_export_state_while_an_object_is_added, since=0
    )
    assert response.object_ids == [1] and response.revision < session.revision


def test_rows_and_columns_become_y_and_x(registry):
    image = normalize_image_data(encode_png(IMAGE))
    session = registry.create_session(image, image_name="scene.png")
    snapshot = ObjectSnapshot((Click(3.0, 7.5, True),), area=5)
    annotated_object = AnnotatedObject(2, session.labels.choose("cat"), "#000000")
    annotated_object = annotated_object.append_snapshot(snapshot, max_snapshots=9)
    response = schemas.object_response(session, annotated_object).model_dump()
    assert (response["object_id"], response["name"]) == (2, "cat")
    assert response["clicks"] == [{"x": 7.5, "y": 3.0, "positive": True}]
    assert response["can_undo"] and not response["can_redo"]
    assert response["area"] == 5


def test_token_boxes_begin_at_their_upper_left_corner():
    fine = TokenBoxes(np.array([[10.0, 20.0, 14.0, 29.0]]), np.array([0.9]))
    coarse = TokenBoxes(np.zeros((0, 4)), np.zeros(0))
    response = schemas.token_boxes_response(fine, coarse)
    assert response.fine == [(20.0, 10.0, 9.0, 4.0)] and response.coarse == []


@pytest.mark.parametrize(
    "body",
    [
        *({"x": float("nan"), "y": 1}, {"x": float("inf"), "y": 1}, {"x": "1", "y": 1}),
        *({"x": 1}, {"x": 1, "y": 1, "z": 1}, {"x": 1, "y": 1, "positive": 1}),
    ],
    ids=str,
)
def test_invalid_clicks_are_rejected(body):
    with pytest.raises(ValidationError):
        schemas.ClickRequest.model_validate(body)


def test_update_holds_the_sent_attributes_only():
    update = schemas.UpdateObjectRequest.model_validate({"name": "cat"})
    assert update.model_dump(exclude_unset=True) == {"name": "cat"}
    for body in ({"color": "red"}, {"name": ""}, {"finished": None}, {"clicks": []}):
        with pytest.raises(ValidationError):
            schemas.UpdateObjectRequest.model_validate(body)
