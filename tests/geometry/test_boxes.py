from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.geometry import boxes
from mst_jax.geometry.resize import resize_corners_aligned

# Compiled whole: operations one by one would be compiled one by one.
box_of, cover, overlap, contains, clip = map(
    jax.jit, (boxes.box_of, boxes.cover, boxes.overlap, boxes.contains, boxes.clip)
)


def box(*ends):
    return jnp.array(ends)


def test_the_box_of_a_mask_is_inclusive():
    mask = jnp.array([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0]], bool)
    assert box_of(mask).tolist() == [1, 2, 1, 3]
    assert box_of(jnp.ones((3, 5), bool)).tolist() == [0, 2, 0, 4]
    assert box_of(jnp.zeros((3, 5), bool)).tolist() == [3, -1, 5, -1]
    assert boxes.whole(jnp.array([3, 5])).tolist() == [0, 2, 0, 4]


def test_a_box_is_enlarged_to_the_selected_points():
    points = jnp.array([[7.9, 2.0], [0.0, 0.0], [3.0, 9.5]])
    selected = jnp.array([True, False, True])
    assert cover(box(2, 4, 3, 5), points, selected).tolist() == [2, 7, 2, 9]
    empty = box_of(jnp.zeros((20, 20), bool))
    assert cover(empty, points, selected).tolist() == [3, 7, 2, 9]
    assert cover(empty, points, ~selected & False).tolist() == empty.tolist()


@pytest.mark.parametrize(
    "old, new",
    [
        ((10, 19, 10, 14), (8, 22, 8, 16)),  # 14.5 -+ 7 and 12 -+ 3.5: halves to even
        ((0, 0, 0, 1), (-2, 2, -2, 2)),  # minimum side 4: 0 -+ 2 and 0.5 -+ 2
    ],
)
def test_growing_rounds_halves_to_even(old, new):
    assert boxes.grow(box(*old), factor=1.4, min_side=4).tolist() == list(new)


@settings(max_examples=50)
@given(
    low=st.integers(0, 900), length=st.integers(1, 900), min_side=st.integers(1, 300)
)
def test_growing_is_exact(low, length, min_side):
    high = low + length - 1
    reach = max(Fraction(14, 10) * length, min_side) / 2
    middle = Fraction(low + high, 2)
    expected = [round(middle - reach), round(middle + reach)]
    grown = boxes.grow(box(low, high, low, high), factor=1.4, min_side=min_side)
    assert grown.tolist() == expected * 2


def test_each_end_is_clipped_independently():
    assert clip(box(-5, 7, 3, 99), jnp.array([6, 50])).tolist() == [0, 5, 3, 49]


def test_overlap_is_intersection_over_hull():
    assert overlap(box(0, 9, 0, 9), box(0, 9, 0, 9)) == 1
    assert overlap(box(0, 9, 0, 9), box(5, 14, 0, 9)) == np.float32(5 / 15)
    assert overlap(box(0, 1, 0, 2), box(0, 2, 0, 3)) == 0.5
    assert overlap(box(0, 9, 0, 9), box(10, 19, 0, 9)) == 0


def test_the_last_row_and_column_of_a_box_count_as_outside():
    points = jnp.array([[2.0, 3.0], [4.0, 3.0], [2.0, 6.0], [3.9, 5.9], [1.9, 4.0]])
    inside = contains(box(2, 4, 3, 6), points)
    assert inside.tolist() == [True, False, False, True, False]


def test_a_crop_keeps_its_corners(rng):
    image = jnp.asarray(rng.normal(size=(20, 30, 2)), jnp.float32)
    cropped = jax.jit(partial(boxes.crop, side=16))(image, box(4, 11, 6, 24))
    np.testing.assert_allclose(cropped[0, 0], image[4, 6], rtol=1e-6)
    np.testing.assert_allclose(cropped[-1, -1], image[11, 24], rtol=1e-5)
    expected = resize(image[4:12, 6:25], 16, 16)
    np.testing.assert_allclose(cropped, expected, atol=1e-5)


def test_a_crop_of_one_pixel_is_that_pixel(rng):
    image = jnp.asarray(rng.normal(size=(9, 9, 1)), jnp.float32)
    cropped = jax.jit(partial(boxes.crop, side=4))(image, box(3, 3, 5, 5))
    np.testing.assert_array_equal(cropped, jnp.full((4, 4, 1), image[3, 5]))


def test_pasting_is_resizing_into_zeros(rng):
    patch = jnp.asarray(rng.random((16, 16)), jnp.float32)
    pasted = paste(patch, box(4, 11, 6, 24), 20, 30)
    expected = np.zeros((20, 30))
    expected[4:12, 6:25] = resize(patch[..., None], 8, 19)[..., 0]
    np.testing.assert_allclose(pasted, expected, atol=1e-5)


@settings(max_examples=30)
@given(
    ends=st.tuples(*[st.integers(0, 19)] * 4).map(
        lambda e: (min(e[:2]), max(e[:2]), min(e[2:]), max(e[2:]))
    )
)
def test_crop_and_paste_keep_a_plane(ends):
    """A function that is linear in row and column stays unchanged."""
    row, column = np.mgrid[:20, :20].astype(np.float32)
    plane = jnp.asarray(2 * row - 3 * column + 1)
    cropped = crop(plane[..., None], box(*ends))[..., 0]
    expected = np.zeros((20, 20), np.float32)
    inside = (slice(ends[0], ends[1] + 1), slice(ends[2], ends[3] + 1))
    expected[inside] = plane[inside]
    np.testing.assert_allclose(paste(cropped, box(*ends), 20, 20), expected, atol=2e-4)


crop = jax.jit(lambda x, box: boxes.crop(x, box, side=11))
resize = jax.jit(resize_corners_aligned, static_argnums=(1, 2))
paste = jax.jit(boxes.paste, static_argnums=(2, 3))
