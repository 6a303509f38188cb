import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from hypothesis import assume, given
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


def test_a_mask_input_of_bool_is_certain():
    prob = sam_interface.parse_mask_input(np.array([[[True, False]]]), 1, 2)
    np.testing.assert_allclose(prob, [[1, 0]], atol=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 255]], np.uint8),
        np.array([[0.0, 1.0]]),
        np.array([[0.2, 0.9]]),
        np.zeros((1, 4, 4)),
    ],
    ids=str,
)
def test_a_probability_is_not_taken_for_logits(values):
    with pytest.raises(ValueError, match=r"expected logits, .* pass a mask as bool"):
        sam_interface.parse_mask_input(values, 3, 5)


def test_logits_of_an_object_everywhere_are_logits():
    prob = sam_interface.parse_mask_input(np.full((1, 2, 2), 13.8), 2, 2)
    np.testing.assert_allclose(prob, 1, atol=1e-5)


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
    # Logits of which all lie between 0 and 1 could be a probability and are refused.
    assume(logits.min() < 0 or logits.max() > 1)
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


def test_points_may_have_the_axis_of_one_object_and_be_fractions():
    clicks = sam_interface.parse_points(
        [[[0.5, 0.2], [0.0, 0.0]]], [[1, 0]], SESSION, unit=(5.0, 3.0)
    )
    np.testing.assert_allclose([click[:2] for click in clicks], [[0.6, 2.5], [0, 0]])
    assert [click.is_positive for click in clicks] == [True, False]


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_the_channels_of_opencv_are_reversed(image_format):
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0 if image_format == "RGB" else 2] = 9
    parsed = sam_interface.parse_image(image, image_format)
    assert parsed[0, 0].tolist() == [9, 0, 0]


def test_an_image_of_pillow_is_taken_in_mode_rgb_only():
    picture = PIL.Image.new("RGB", (3, 2), (1, 2, 3))
    assert sam_interface.parse_image(picture, "RGB")[1, 2].tolist() == [1, 2, 3]
    for mode in ("L", "RGBA", "P", "1"):
        with pytest.raises(ValueError, match="expected uint8"):
            sam_interface.parse_image(picture.convert(mode), "RGB")


def prompt(**arguments):
    arguments = {"point_coords": None, "point_labels": None, "box": None} | arguments
    arguments = {"mask_input": None, "normalize_coords": True} | arguments
    return sam_interface.parse_prompt(SESSION, **arguments, min_side=1)


def test_a_box_is_a_region_and_a_click_on_its_center():
    clicks, prob, roi = prompt(box=[1, 0, 3, 1])
    assert clicks == ((0.5, 2, True),) and prob is None
    assert roi.tolist() == [0, 2, 0, 4]


def test_a_positive_point_replaces_the_center_and_a_negative_one_does_not():
    points = {"point_coords": [[1, 1]], "box": [1, 0, 3, 1]}
    assert prompt(point_labels=[1], **points).clicks == ((1, 1, True),)
    clicks = prompt(point_labels=[0], **points).clicks
    assert clicks == ((0.5, 2, True), (1, 1, False))


def test_a_mask_is_the_previous_mask_with_and_without_a_box():
    mask_input = np.full((1, 3, 5), -2.0)
    for box, has_roi in (([1, 0, 3, 1], True), (None, False)):
        points = {"point_coords": [[1, 1]], "point_labels": [1]}
        clicks, prob, roi = prompt(box=box, mask_input=mask_input, **points)
        assert len(clicks) == 1 and (roi is not None) == has_roi
        np.testing.assert_allclose(prob, 1 / (1 + np.exp(2)), rtol=1e-5)
