import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.pixel_errors import fade, normalized_fade, read_pixels

LOG3 = np.log(3.0)


def test_a_pixel_is_seen_from_the_wrong_side():
    pixels = read_pixels(
        jnp.array([2.0, 2.0, -2.0, jnp.nan]),
        jnp.array([1, 0, 1, 0]),
        jnp.array([True, True, True, False]),
    )
    np.testing.assert_array_equal(pixels.wrong, [-2, 2, 2, 0])
    np.testing.assert_array_equal(pixels.is_object, [True, False, True, False])
    np.testing.assert_array_equal(pixels.counts, [True, True, True, False])


@pytest.mark.parametrize("name", ["targets", "where"])
def test_other_shapes_are_refused(name):
    arrays = {"targets": jnp.ones((2, 3), bool), "where": jnp.ones((2, 3), bool)}
    arrays[name] = jnp.ones(3, bool)
    with pytest.raises(
        (ValueError, TypeError), match=rf"\(2, 3\), {name} \(3,\)|{name}"
    ):
        read_pixels(jnp.zeros((2, 3)), **arrays)


def test_right_pixels_fade():
    wrong = jnp.array([0.0, LOG3, -LOG3])
    np.testing.assert_allclose(fade(wrong, 2.0), [1 / 4, 9 / 16, 1 / 16], rtol=1e-6)
    np.testing.assert_array_equal(fade(wrong, 0.0), [1, 1, 1])


def test_the_fade_of_an_example_has_mean_one():
    pixels = read_pixels(
        jnp.array([[0.0, LOG3, 9.0], [90.0, 90.0, 90.0]]),
        jnp.array([[1, 1, 1], [1, 1, 1]]),
        jnp.array([[True, True, False], [True, True, True]]),
    )
    weights = normalized_fade(pixels, jnp.array([[1.0], [2.0]]), axis=-1)
    np.testing.assert_allclose(weights, [[4 / 3, 2 / 3, 0], [1, 1, 1]], rtol=1e-6)
