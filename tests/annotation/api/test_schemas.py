import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as rle
from pydantic import ValidationError

import mst_jax.annotation.api.schemas as say
from mst_jax.annotation.sessions.history import Drawn, Moment
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import Cells


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
    assert say.run_lengths(mask).model_dump() == {"size": mask.shape, "counts": counts}


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_coco_reads_run_lengths(mask):
    runs = say.run_lengths(mask)
    packed = rle.frPyObjects(runs.model_dump(), *mask.shape)
    np.testing.assert_array_equal(rle.decode(packed).astype(bool), mask)


def test_only_here_rows_and_columns_become_y_and_x():
    moment = Moment((Click(3.0, 7.5, True),), area=5)
    drawn = Drawn(2, "cat", "#000000").then(moment, most=9)
    message = say.describe(drawn).model_dump()
    assert message["clicks"] == [{"x": 7.5, "y": 3.0, "positive": True}]
    assert message["can_undo"] and not message["can_redo"] and message["area"] == 5


def test_tokens_are_boxes_by_their_upper_left_corner():
    cells = Cells(np.array([[10.0, 20.0, 14.0, 29.0]]), np.array([0.9]))
    nothing = Cells(np.zeros((0, 4)), np.zeros(0))
    tokens = say.describe_tokens(cells, nothing)
    assert tokens.fine == [(20.0, 10.0, 9.0, 4.0)] and tokens.coarse == []


@pytest.mark.parametrize(
    "body",
    [
        *({"x": float("nan"), "y": 1}, {"x": float("inf"), "y": 1}, {"x": "1", "y": 1}),
        *({"x": 1}, {"x": 1, "y": 1, "z": 1}, {"x": 1, "y": 1, "positive": 1}),
    ],
    ids=str,
)
def test_clicks_that_are_none(body):
    with pytest.raises(ValidationError):
        say.NewClick.model_validate(body)


def test_a_change_says_only_what_is_to_be_other():
    change = say.Change.model_validate({"name": "cat"})
    assert change.model_dump(exclude_unset=True) == {"name": "cat"}
    for wrong in ({"colour": "red"}, {"name": ""}, {"finished": None}, {"clicks": []}):
        with pytest.raises(ValidationError):
            say.Change.model_validate(wrong)
