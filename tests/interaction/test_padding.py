import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.interaction.padding import SIZE_MULTIPLE, pad_to, padded_size


def test_padded_sizes_are_multiples():
    assert padded_size(128, 129, zoom_size=448) == (128, 256)
    assert padded_size(1, 1000, zoom_size=448) == (128, 1024)


def test_without_zoom_an_image_keeps_its_size():
    assert padded_size(1, 1000, zoom_size=None) == (1, 1000)


def test_padding_is_right_and_below():
    np.testing.assert_array_equal(
        pad_to(np.array([[1, 2]]), (2, 3)), [[[1, 2, 0], [0, 0, 0]]]
    )
    assert pad_to(np.ones((2, 3, 3), np.uint8), (4, 4)).shape == (1, 4, 4, 3)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_padded_size_contains_the_image_and_is_stable(height, width):
    padded = padded_size(height, width, zoom_size=448)
    assert padded_size(*padded, zoom_size=448) == padded
    assert (
        0 <= padded[0] - height < SIZE_MULTIPLE
        and 0 <= padded[1] - width < SIZE_MULTIPLE
    )
