import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.inference import overlay


def grey(height, width):
    return np.full((height, width, 3), 100, np.uint8)


def square(height, width):
    mask = np.zeros((height, width), bool)
    mask[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = True
    return mask


def test_inside_is_tinted_the_border_is_drawn_outside_stays():
    picture = overlay.draw(grey(40, 40), square(40, 40), color=(255, 0, 0))
    np.testing.assert_array_equal(picture[20, 20], [170, 55, 55])  # 0.55 and 0.45
    np.testing.assert_allclose(picture[10, 20], [255, 0, 0], atol=20)
    np.testing.assert_array_equal(picture[3, 3], [100, 100, 100])


def test_dots_are_green_or_red_with_a_white_rim():
    clicks = np.array([[200, 200, 1], [200, 600, 0]])
    picture = overlay.draw(grey(400, 800), np.zeros((400, 800), bool), clicks)
    radius = round(0.013 * np.sqrt(400 * 800))
    for column, (strong, weak) in [(200, (1, 0)), (600, (0, 1))]:
        inside, rim, outside = picture[200, column + np.array([0, radius + 2, 15])]
        assert inside[strong] > 1.5 * inside[weak]
        np.testing.assert_array_equal(rim, [255, 255, 255])
        np.testing.assert_array_equal(outside, [100, 100, 100])


@pytest.mark.parametrize("side", [100, 1000, 3000])
def test_dots_grow_with_the_picture(side):
    clicks = np.array([[side / 2, side / 2, 1]])
    picture = overlay.draw(grey(side, side), np.zeros((side, side), bool), clicks)
    changed = (picture != 100).any(axis=-1)
    assert 0.02 < np.sqrt(changed.sum()) / side < 0.1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_nothing_to_draw_changes_nothing_and_the_image_is_never_changed(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (30, 50, 3), np.uint8)
    before = image.copy()
    nothing = np.zeros((30, 50), bool)
    np.testing.assert_array_equal(overlay.draw(image, nothing), image)
    clicks = rng.integers(0, 30, (3, 3)) * [1, 1, 0]
    overlay.draw(image, rng.random((30, 50)) < 0.5, clicks)
    np.testing.assert_array_equal(image, before)
