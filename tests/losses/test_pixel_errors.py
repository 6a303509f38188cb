"""Negative margins and focal weights of small examples."""

import jax.numpy as jnp
import numpy as np

from mst_jax.losses.loss_inputs import PixelReducer
from mst_jax.losses.pixel_errors import (
    compute_pixel_errors,
    focal_weight,
    normalized_focal_weight,
)

LOG3 = np.log(3.0)


def test_neg_margin_is_the_logit_of_the_wrong_class():
    errors = compute_pixel_errors(
        jnp.array([2.0, 2.0, -2.0, jnp.nan]),
        jnp.array([1, 0, 1, 0]),
        jnp.array([True, True, True, False]),
    )
    np.testing.assert_array_equal(errors.neg_margin, [-2, 2, 2, 0])
    np.testing.assert_array_equal(errors.is_object, [True, False, True, False])
    np.testing.assert_array_equal(errors.is_counted, [True, True, True, False])


def test_focal_weight_falls_on_right_pixels():
    neg_margin = jnp.array([0.0, LOG3, -LOG3])
    np.testing.assert_allclose(
        focal_weight(neg_margin, 2.0), [1 / 4, 9 / 16, 1 / 16], rtol=1e-6
    )
    np.testing.assert_array_equal(focal_weight(neg_margin, 0.0), [1, 1, 1])


def test_normalized_focal_weight_of_an_example_has_mean_1():
    errors = compute_pixel_errors(
        jnp.array([[0.0, LOG3, 9.0], [90.0, 90.0, 90.0]]),
        jnp.array([[1, 1, 1], [1, 1, 1]]),
        jnp.array([[True, True, False], [True, True, True]]),
    )
    weights = normalized_focal_weight(
        errors, jnp.array([[1.0], [2.0]]), reducer=PixelReducer(-1, None)
    )
    np.testing.assert_allclose(weights, [[4 / 3, 2 / 3, 0], [1, 1, 1]], rtol=1e-6)
