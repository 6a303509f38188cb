import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.formats.label_maps import (
    drop_labels,
    find_small,
    find_sparse,
    part_regions,
)

MASK = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 1, 0, 0]], bool)


def test_regions_part_at_corners_unless_diagonals_count():
    np.testing.assert_array_equal(
        part_regions(MASK, diagonal=False),
        [[1, 0, 0, 2], [0, 3, 0, 2], [0, 3, 0, 0]],
    )
    np.testing.assert_array_equal(
        part_regions(MASK, diagonal=True),
        [[1, 0, 0, 2], [0, 1, 0, 2], [0, 1, 0, 0]],
    )


@given(seed=st.integers(0, 2**32 - 1), diagonal=st.booleans())
def test_regions_cover_the_mask_and_nothing_else(seed, diagonal):
    mask = np.random.default_rng(seed).random((7, 9)) < 0.5
    regions = part_regions(mask, diagonal=diagonal)
    np.testing.assert_array_equal(regions > 0, mask)
    assert regions.dtype == np.uint16


def test_more_regions_than_labels_are_refused():
    mask = np.zeros((600, 600), bool)
    mask[::2, ::2] = True
    with pytest.raises(ValueError, match="has 90000 regions"):
        part_regions(mask, diagonal=False)


def test_small_objects_are_found_but_not_background_or_ignored_pixels():
    labels = np.array([[0, 1, 2, 2, 65535, 7, 7, 7]], np.uint16)
    assert find_small(labels, least_area=2) == [1]
    assert find_small(labels, least_area=3) == [1, 2]


def test_objects_that_fill_too_little_of_their_box_are_found():
    labels = np.zeros((10, 10), np.uint16)
    labels[0, 0] = labels[9, 9] = 5  # 2 of 100
    labels[2:4, 2:4] = 6
    labels[0, 9] = labels[1, 8] = 65535
    assert find_sparse(labels, least_share=0.08) == [5]
    labels[9, :8] = 5  # now 10 of 100
    assert find_sparse(labels, least_share=0.08) == []
    assert find_sparse(labels, least_share=0.11) == [5]


def test_dropped_labels_become_background():
    labels = np.array([[1, 2, 65535]], np.uint16)
    kept = drop_labels(labels, [2])
    np.testing.assert_array_equal(kept, [[1, 0, 65535]])
    assert kept.dtype == np.uint16
