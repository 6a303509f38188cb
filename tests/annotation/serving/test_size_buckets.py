from hypothesis import given
from hypothesis import strategies as st

from mst_jax.annotation.serving.size_buckets import PADDED_SIDES, bucket_size

sides = st.integers(1, 20_000)


@given(sides, sides)
def test_image_fits_and_at_most_half_of_a_side_is_padding(height, width):
    size = bucket_size(height, width, zoom_size=448)
    for side, padded in zip((height, width), size, strict=True):
        assert side <= padded <= max(2 * side, PADDED_SIDES[0])
        assert padded % PADDED_SIDES[0] == 0
    assert bucket_size(*size, zoom_size=448) == size


def test_folder_of_mixed_sizes_has_a_handful_of_sizes():
    # Sizes as in COCO: the longer side is 640 or less, the shorter 300 or more.
    sizes = {
        bucket_size(height, width, zoom_size=448)
        for long_side in (640, 612, 500)
        for short_side in range(300, 500)
        for height, width in ((long_side, short_side), (short_side, long_side))
    }
    assert len(sizes) <= 8


def test_without_zoom_the_size_stays():
    assert bucket_size(33, 1001, zoom_size=None) == (33, 1001)
