import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.inference import overlay


def gray_image(height, width):
    return np.full((height, width, 3), 100, np.uint8)


def square_mask(height, width):
    mask = np.zeros((height, width), bool)
    mask[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = True
    return mask


def test_the_mask_is_tinted_and_outlined():
    drawn = overlay.draw_overlay(
        gray_image(40, 40), square_mask(40, 40), color=(255, 0, 0)
    )
    np.testing.assert_array_equal(drawn[20, 20], [170, 55, 55])  # 0.55 and 0.45
    np.testing.assert_allclose(drawn[10, 20], [255, 0, 0], atol=20)
    np.testing.assert_array_equal(drawn[3, 3], [100, 100, 100])


def test_dots_are_green_or_red_with_a_white_rim():
    clicks = np.array([[200, 200, 1], [200, 600, 0]])
    drawn = overlay.draw_overlay(
        gray_image(400, 800), np.zeros((400, 800), bool), clicks
    )
    radius = round(0.013 * np.sqrt(400 * 800))
    for column, (strong, weak) in [(200, (1, 0)), (600, (0, 1))]:
        inside, rim, outside = drawn[200, column + np.array([0, radius + 2, 15])]
        assert inside[strong] > 1.5 * inside[weak]
        np.testing.assert_array_equal(rim, [255, 255, 255])
        np.testing.assert_array_equal(outside, [100, 100, 100])


@pytest.mark.parametrize("side", [100, 1000, 3000])
def test_dots_scale_with_the_image(side):
    clicks = np.array([[side / 2, side / 2, 1]])
    drawn = overlay.draw_overlay(
        gray_image(side, side), np.zeros((side, side), bool), clicks
    )
    changed = (drawn != 100).any(axis=-1)
    assert 0.02 < np.sqrt(changed.sum()) / side < 0.1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_an_empty_mask_draws_nothing_and_the_image_never_changes(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (30, 50, 3), np.uint8)
    before = image.copy()
    empty_mask = np.zeros((30, 50), bool)
    np.testing.assert_array_equal(overlay.draw_overlay(image, empty_mask), image)
    clicks = rng.integers(0, 30, (3, 3)) * [1, 1, 0]
    overlay.draw_overlay(image, rng.random((30, 50)) < 0.5, clicks)
    np.testing.assert_array_equal(image, before)
