import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mst_jax.geometry.distance import dilate, squared_distance

distances = jax.jit(jax.vmap(squared_distance))
dilations = jax.jit(jax.vmap(dilate))


def reference_distance(labels):
    """Compare all pairs of pixels, with the outside as a frame: the definition."""
    padded = np.pad(labels, 1)
    pixels = np.argwhere(np.ones_like(padded, bool))
    flat = padded.ravel()
    squared = ((pixels[:, None] - pixels[None]) ** 2).sum(-1)
    squared[flat[:, None] == flat[None]] = np.iinfo(squared.dtype).max
    nearest = np.where(flat > 0, squared.min(1), 0)
    return nearest.reshape(padded.shape)[1:-1, 1:-1]


def scipy_distance(labels):
    padded = np.pad(labels, 1)
    squared = sum(
        (padded == label) * ndimage.distance_transform_edt(padded == label) ** 2
        for label in (1, 2)
    )
    return np.rint(squared)[1:-1, 1:-1]


def test_distances_by_hand():
    labels = jnp.array(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 1, 1, 0],
            [0, 1, 1, 1, 1, 1, 0],
            [0, 1, 1, 1, 1, 1, 2],
            [0, 1, 1, 1, 2, 2, 2],
            [0, 1, 1, 1, 2, 2, 2],
        ]
    )
    np.testing.assert_array_equal(
        squared_distance(labels),
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 1, 1, 0],
            [0, 1, 4, 4, 4, 1, 0],
            [0, 1, 4, 2, 1, 1, 1],
            [0, 1, 4, 1, 1, 1, 1],
            [0, 1, 1, 1, 1, 1, 1],
        ],
    )


def test_the_outside_of_the_image_is_another_label():
    np.testing.assert_array_equal(
        squared_distance(jnp.ones((5, 5), int)),
        [
            [1, 1, 1, 1, 1],
            [1, 4, 4, 4, 1],
            [1, 4, 9, 4, 1],
            [1, 4, 4, 4, 1],
            [1, 1, 1, 1, 1],
        ],
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), fraction=st.sampled_from([0.02, 0.1, 0.3, 0.7]))
def test_distance_equals_its_definition(seed, fraction):
    rng = np.random.default_rng(seed)
    labels = np.ones((3, 9, 12), np.int32)
    labels[rng.random(labels.shape) < fraction] = 0
    labels[rng.random(labels.shape) < fraction] = 2
    np.testing.assert_array_equal(
        distances(labels), [reference_distance(label_map) for label_map in labels]
    )


def test_distance_equals_scipy_on_large_regions():
    rng = np.random.default_rng(0)
    smooth = [ndimage.gaussian_filter(rng.normal(size=(96, 130)), s) for s in (2, 5, 9)]
    labels = np.stack([np.digitize(x / x.std(), [-0.7, 0.5]) for x in smooth])
    labels = np.concatenate([labels, np.ones_like(labels[:1]), 0 * labels[:1]])
    np.testing.assert_array_equal(
        distances(labels), [scipy_distance(label_map) for label_map in labels]
    )


def test_dilation_by_a_square_stays_in_the_image():
    region = jnp.zeros((5, 6), bool).at[1, 1].set(True)
    np.testing.assert_array_equal(
        dilate(region, 2).astype(int),
        [
            [1, 1, 1, 1, 0, 0],
            [1, 1, 1, 1, 0, 0],
            [1, 1, 1, 1, 0, 0],
            [1, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ],
    )


@pytest.mark.parametrize("radius", [0, 1, 3, 50])
def test_dilation_equals_scipy_for_a_traced_radius(radius):
    rng = np.random.default_rng(radius)
    region = rng.random((3, 20, 33)) < np.array([0.0, 0.004, 0.1])[:, None, None]
    square = np.ones((2 * radius + 1, 2 * radius + 1))
    np.testing.assert_array_equal(
        dilations(region, np.full(3, radius)),
        [ndimage.binary_dilation(label_map, square) for label_map in region],
    )


def test_erosion_keeps_pixels_at_the_border_of_the_image():
    region = jnp.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(
        (~dilate(~region, 1)).astype(int), [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    )
