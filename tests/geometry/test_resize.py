import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.geometry.resize import (
    resize_bicubic_antialiased,
    resize_corners_aligned,
    resize_pixel_centers,
    resize_positions_bicubic,
)

SIZES = [(5, 7), (10, 14), (20, 7), (3, 4), (13, 30), (1, 1)]


def row(*values):
    return jnp.array(values, jnp.float32).reshape(1, -1, 1)


def test_aligned_corners_stay_in_the_corners():
    np.testing.assert_allclose(
        resize_corners_aligned(row(0, 3, 6), 1, 7)[0, :, 0], [0, 1, 2, 3, 4, 5, 6]
    )
    np.testing.assert_allclose(
        resize_corners_aligned(row(0, 3, 6, 9, 12), 1, 2)[0, :, 0], [0, 12]
    )


def test_pixel_centers_lie_between_and_the_border_is_repeated():
    np.testing.assert_allclose(
        resize_pixel_centers(row(0, 4, 8), 1, 6)[0, :, 0], [0, 1, 3, 5, 7, 8]
    )
    np.testing.assert_allclose(
        resize_pixel_centers(row(0, 4, 8, 12), 1, 2)[0, :, 0], [2, 10]
    )
    np.testing.assert_allclose(
        resize_pixel_centers(row(0, 6), 1, 3)[0, :, 0], [0, 3, 6], atol=1e-6
    )


def test_cubic_weights_are_those_of_a_quarter_at_minus_three_quarters():
    impulse = row(0, 0, 0, 1, 0, 0, 0)
    # Pixel centers at twice the size: fractions 1/4 and 3/4 on both sides.
    np.testing.assert_allclose(
        resize_positions_bicubic(impulse, 1, 14)[0, 3:11, 0],
        [
            -0.03515625,
            -0.10546875,
            0.26171875,
            0.87890625,
            0.87890625,
            0.26171875,
            -0.10546875,
            -0.03515625,
        ],
        atol=1e-7,
    )


@pytest.mark.parametrize("height, width", SIZES)
def test_pixel_centers_equal_opencv(rng, height, width):
    x = rng.normal(size=(5, 7, 3)).astype(np.float32)
    for ours, flag in [
        (resize_pixel_centers, cv2.INTER_LINEAR),
        (resize_positions_bicubic, cv2.INTER_CUBIC),
    ]:
        theirs = cv2.resize(x, (width, height), interpolation=flag)
        np.testing.assert_allclose(
            ours(jnp.asarray(x), height, width), theirs, atol=2e-5
        )


# Maps with more channels than columns are resized by other products.
@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("height, width", SIZES)
def test_aligned_corners_equal_a_slow_reference(rng, height, width, channels):
    x = rng.normal(size=(2, 5, 7, channels)).astype(np.float32)
    rows = np.linspace(0, 4, height) if height > 1 else np.zeros(1)
    columns = np.linspace(0, 6, width) if width > 1 else np.zeros(1)
    expected = np.empty((2, height, width, channels))
    for i, y in enumerate(rows):
        for j, x_ in enumerate(columns):
            y0, x0 = min(int(y), 3), min(int(x_), 5)
            fy, fx = y - y0, x_ - x0
            top = (1 - fx) * x[:, y0, x0] + fx * x[:, y0, x0 + 1]
            below = (1 - fx) * x[:, y0 + 1, x0] + fx * x[:, y0 + 1, x0 + 1]
            expected[:, i, j] = (1 - fy) * top + fy * below
    np.testing.assert_allclose(
        resize_corners_aligned(jnp.asarray(x), height, width), expected, atol=1e-5
    )


def test_antialiased_shrinking_uses_every_pixel(rng):
    x = jnp.asarray(rng.normal(size=(16, 16, 1)), jnp.float32)
    antialiased = jax.jacobian(lambda x: resize_bicubic_antialiased(x, 4, 4).sum())(x)
    assert (antialiased != 0).all()
    plain = jax.jacobian(lambda x: resize_positions_bicubic(x, 2, 2).sum())(x)
    assert (plain != 0).sum() == 64


@settings(max_examples=5)
@given(size=st.tuples(st.integers(1, 24), st.integers(1, 24)))
def test_constants_and_dtypes_stay(size):
    x = jnp.full((6, 8, 1), 2.5, jnp.bfloat16)
    for resize in (
        resize_corners_aligned,
        resize_pixel_centers,
        resize_positions_bicubic,
        resize_bicubic_antialiased,
    ):
        y = resize(x, *size)
        assert y.dtype == jnp.bfloat16 and y.shape == (*size, 1)
        np.testing.assert_allclose(y.astype(jnp.float32), 2.5, rtol=1e-6)


def test_the_same_size_changes_nothing(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 4, 5)), jnp.float32)
    for resize in (resize_corners_aligned, resize_pixel_centers):
        np.testing.assert_array_equal(resize(x, 3, 4), x)
