import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.inference.box_prompt import center_of_box, draw_box, parse_box
from mst_jax.inference.click_session import ClickSession


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


def test_the_pixels_and_the_center_of_a_box():
    corners = parse_box([1.2, 0, 3, 2], 4, 5)
    expected = np.zeros((4, 5))
    expected[0:3, 1:4] = 1
    np.testing.assert_array_equal(draw_box(corners, 4, 5), expected)
    session = ClickSession.start(jnp.zeros((1, 8, 8, 3), jnp.uint8), 4, 5)
    row, column, is_positive = center_of_box(corners, session)
    assert (row, column) == (1, pytest.approx(2.1)) and is_positive


def test_a_box_of_one_row_at_the_border_has_a_pixel():
    corners = parse_box([0, 18.9, 3, 25], 20, 10)
    assert draw_box(corners, 20, 10)[19].tolist() == [1] * 4 + [0] * 6
