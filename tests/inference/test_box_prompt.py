import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.inference.box_prompt import center_of_box, parse_box, roi_of_box
from mst_jax.inference.click_session import Click, ClickSession


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([1, 2, 5, 7], [1, 2, 5, 7]),
        (np.array([[1, 2, 5, 7]]), [1, 2, 5, 7]),
        ([-0.4, -3, 10.2, 7], [0, 0, 9, 7]),
        ([0, 0, 9, 19], [0, 0, 9, 19]),
    ],
)
def test_a_box_is_clipped_to_the_image(box, expected):
    assert parse_box(box, 20, 10).tolist() == expected


def test_a_box_may_be_in_fractions_of_the_image():
    corners = parse_box([0.1, 0.2, 0.5, 0.5], 20, 10, unit=(10.0, 20.0))
    np.testing.assert_allclose(corners, [1, 4, 5, 10])


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ([5, 2, 1, 7], "x0 < x1 and y0 < y1; x1 and y1 are a corner"),
        ([1, 2, 1, 7], "x0 < x1"),
        ([1, 2, 3], "expected four finite numbers"),
        ([1, 2, 3, np.nan], "expected four finite numbers"),
        ([[1, 2, 5, 7], [1, 2, 5, 7]], "there are 2 boxes, expected one"),
        ([[[1, 2, 5, 7]]], "expected four finite numbers"),
        (["a", 2, 5, 7], "a list of other values than numbers"),
        (
            np.zeros((1, 60, 84)),
            r"box is \[1, 60, 84\], .* a mask is passed as mask_input",
        ),
        ([30, 2, 40, 7], "lies outside the image of 20 rows and 10 columns"),
        ([-9, 2, -1, 7], "lies outside"),
    ],
)
def test_no_box_is_one_sentence(box, sentence):
    with pytest.raises(ValueError, match=sentence) as raised:
        parse_box(box, 20, 10)
    assert "\n" not in str(raised.value)


SESSION = ClickSession.start(jnp.zeros((1, 128, 128, 3), jnp.uint8), 100, 80)


def test_the_center_of_a_box():
    corners = parse_box([1.2, 0, 3, 2], 100, 80)
    row, column, is_positive = center_of_box(corners, SESSION)
    assert (row, column) == (1, pytest.approx(2.1)) and is_positive


@pytest.mark.parametrize(
    ("clicks", "min_side", "expected"),
    [
        # 54.5 -+ 7 and 29.5 -+ 14, halves to even: 1.4 times 10 and 20 pixels.
        ((), 1, [48, 62, 16, 44]),
        ((Click(5, 5, False),), 1, [48, 62, 16, 44]),
        ((Click(69, 25, True),), 1, [46, 74, 16, 44]),
        ((), 60, [24, 84, 0, 60]),
        ((), 500, [0, 99, 0, 79]),
    ],
)
def test_the_region_is_the_expanded_box_with_the_positive_clicks(
    clicks, min_side, expected
):
    corners = parse_box([20, 50, 39, 59], 100, 80)
    roi = roi_of_box(corners, clicks, SESSION, min_side=min_side)
    assert roi.tolist() == expected
