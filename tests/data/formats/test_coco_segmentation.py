import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mst_jax.data.formats.coco_segmentation import decode_segmentation

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]  # columns 1..3, rows 1..2
SQUARE_MASK = np.zeros((5, 6), bool)
SQUARE_MASK[1:3, 1:4] = True


def test_several_polygons_give_their_union():
    np.testing.assert_array_equal(decode_segmentation([SQUARE], 5, 6), SQUARE_MASK)
    other_square = [4.0, 3, 6, 3, 6, 5, 4, 5]
    union = SQUARE_MASK.copy()
    union[3:5, 4:6] = True
    decoded = decode_segmentation([SQUARE, other_square], 5, 6)
    np.testing.assert_array_equal(decoded, union)


def test_run_lengths_count_down_the_columns():
    encoded = {"size": [5, 6], "counts": [6, 2, 3, 2, 3, 2, 12]}
    np.testing.assert_array_equal(decode_segmentation(encoded, 5, 6), SQUARE_MASK)


@given(seed=st.integers(0, 2**32 - 1))
def test_packed_run_lengths_agree_with_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    mask = rng.random((height, width)) < rng.random()
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    encoded = {"size": [height, width], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(decode_segmentation(encoded, height, width), mask)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "expected polygons or run lengths"),
        ([], "expected polygons or run lengths"),
        ([[1, 2, 3]], "polygon of 3 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon of 7 numbers"),
        ([7], "polygon of 1 numbers"),
        (["x"], "not a list of numbers"),
        ([[0.1, 0.1, 0.9, 0.1, 0.9, 0.8]], "between 0 and 1, expected pixels"),
        ({"size": [5, 6], "counts": [29.5, 0.5]}, "do not add up"),
        ([[0, 0, 1e9, 0, 1e9, 1]], "far outside"),
        ([[0, 0, float("nan"), 0, 1, 1]], "not finite"),
        ({"size": [6, 5], "counts": [30]}, r"for \[6, 5\], the image is \[5, 6\]"),
        ({"size": [5, 6], "counts": [29]}, "do not add up to 5x6"),
        ({"size": [5, 6], "counts": [40, -10]}, "do not add up"),
        ({"size": [5, 6], "counts": None}, "do not add up"),
        ({"size": [5, 6], "counts": "1000000000"}, "do not add up"),
        ({"size": [5, 6], "counts": "\x00"}, "hold the character"),
        ({"size": [5, 6], "counts": "o"}, "end within a number"),
    ],
)
def test_bad_segmentation_raises_with_the_reason(segmentation, reason):
    with pytest.raises(ValueError, match=reason):
        decode_segmentation(segmentation, 5, 6)


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,
        [[[1, 1], [4, 1], [4, 3], [1, 3]]],
        [[1, 1], [4, 1], [4, 3], [1, 3]],
        [SQUARE, [5, 4, 6, 4]],
        [[], SQUARE, [5, 4]],
        {"size": [5, 6], "counts": [6.0, 2.0, 3.0, 2.0, 3.0, 2.0, 12.0]},
        {"size": [5.0, 6.0], "counts": [6, 2, 3, 2, 3, 2, 12]},
    ],
)
def test_other_ways_to_write_a_segmentation_are_read(segmentation):
    np.testing.assert_array_equal(decode_segmentation(segmentation, 5, 6), SQUARE_MASK)


def test_slivers_alone_are_empty():
    assert not decode_segmentation([[1, 1, 4, 1]], 5, 6).any()
