import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mst_jax.inference import sam_interface
from mst_jax.inference.click_session import ClickSession

SESSION = ClickSession.start(jnp.zeros((1, 4, 8, 3), jnp.uint8), 3, 5)
probs = nps.arrays(np.float32, (3, 5), elements=st.floats(0, 1, width=32))


def test_x_and_y_become_row_and_column():
    clicks = sam_interface.parse_points([[4, 1], [0.5, 2]], [1, 0], SESSION)
    assert clicks == ((1, 4, True), (2, 0.5, False))


@pytest.mark.parametrize(
    ("coords", "labels", "message"),
    [
        ([[1, 1]], [1, 1], r"point_coords are \[1, 2\] and point_labels \[2\]"),
        ([[1, 1, 1]], [1], "expected"),
        ([1, 1], [1], "expected"),
        ([], [], "at least one point"),
        ([[1, 1], [2]], [1, 1], "expected"),
        ([["a", "b"]], [1], "expected"),
        ([[1, 1]], [2], r"point_labels are \[2.0\], expected 1 or 0"),
        ([[1, 1]], [float("nan")], "expected 1 or 0"),
        ([[5, 1]], [1], "row 1, column 5 lies outside"),
    ],
)
def test_invalid_points_are_refused(coords, labels, message):
    with pytest.raises(ValueError, match=message):
        sam_interface.parse_points(coords, labels, SESSION)


def test_a_mask_input_is_resized_as_logits():
    prob = sam_interface.parse_mask_input(np.array([[[-2.0, 2.0]]]), 1, 4)
    np.testing.assert_allclose(
        prob, 1 / (1 + np.exp(-np.array([[-2.0, -1.0, 1.0, 2.0]]))), rtol=1e-5
    )


@pytest.mark.parametrize(
    "logits",
    [
        *(np.zeros((2, 3, 5)), np.zeros(3), np.full((1, 3), np.inf), np.zeros((0, 3))),
        *([["a"]], [[None]], [[1j]], [[1.0, 2.0], [3.0]], "mask.png"),
    ],
    ids=str,
)
def test_invalid_mask_inputs_are_refused(logits):
    with pytest.raises(ValueError, match=r"mask_input .* expected (finite )?logits"):
        sam_interface.parse_mask_input(logits, 3, 5)


@given(prob=probs)
def test_an_answer_comes_back_as_the_probability(prob):
    masks, scores, logits = sam_interface.format_output(prob)
    np.testing.assert_array_equal(masks[0], prob > 0.49)
    assert 0 <= scores[0] <= 1 and np.isfinite(logits).all()
    np.testing.assert_allclose(
        sam_interface.parse_mask_input(logits, 3, 5), prob, atol=2e-6
    )


def test_expected_iou_by_hand():
    prob = np.array([[0.8, 0.6], [0.2, 0.0]], np.float32)
    assert sam_interface.expected_iou(prob, prob > 0.49) == pytest.approx(1.4 / 2.2)


@given(prob=probs)
def test_a_certain_model_expects_to_be_right(prob):
    mask = prob > 0.49
    assert sam_interface.expected_iou(mask.astype(np.float32), mask) == float(
        mask.any()
    )
