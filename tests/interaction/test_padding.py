import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.interaction.padding import BUCKET, pad, padded_size


def test_padded_sizes_are_few():
    assert padded_size(128, 129, zoom=448) == (128, 256)
    assert padded_size(1, 1000, zoom=448) == (128, 1024)


def test_without_zoom_a_picture_keeps_its_size():
    assert padded_size(1, 1000, zoom=None) == (1, 1000)


def test_padding_is_right_and_below():
    np.testing.assert_array_equal(
        pad(np.array([[1, 2]]), (2, 3)), [[[1, 2, 0], [0, 0, 0]]]
    )
    assert pad(np.ones((2, 3, 3), np.uint8), (4, 4)).shape == (1, 4, 4, 3)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_bucket_holds_its_picture_and_is_its_own_bucket(height, width):
    bucket = padded_size(height, width, zoom=448)
    assert padded_size(*bucket, zoom=448) == bucket
    assert 0 <= bucket[0] - height < BUCKET and 0 <= bucket[1] - width < BUCKET
