"""The loss of a student against the definition, in float64, and at its ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, rel_entr

from mst_jax.losses.distillation import distillation_loss


def test_it_is_the_divergence_of_two_coins(rng):
    x, z = 3.0 * rng.normal(size=(2, 50))
    p, q = expit(z), expit(x)
    want = rel_entr(p, q) + rel_entr(1 - p, 1 - q)
    found = distillation_loss(jnp.float32(x), jnp.float32(z))
    np.testing.assert_allclose(found, want, rtol=2e-4, atol=1e-6)


def test_two_pixels_by_hand():
    """Teacher 3/4, student 1/2: 3/4 log 3/2 + 1/4 log 1/2; and both the same."""
    taught = jnp.log(jnp.array([3.0, 3.0]))
    found = distillation_loss(jnp.array([0.0, taught[1]]), taught)
    want = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    np.testing.assert_allclose(found, [want, 0.0], atol=1e-6)


def test_the_gradient_is_the_difference_of_the_probabilities(rng):
    x, z = jnp.float32(4.0 * rng.normal(size=(2, 30)))

    def total(x, z):
        return distillation_loss(x, z).sum()

    to_student, to_teacher = jax.grad(total, argnums=(0, 1))(x, z)
    np.testing.assert_allclose(
        to_student, jax.nn.sigmoid(x) - jax.nn.sigmoid(z), atol=1e-6
    )
    np.testing.assert_array_equal(to_teacher, np.zeros(30))


def test_what_is_beyond_doubt_stays_finite():
    """A teacher sure of the other side costs the student's logit; of the same, nothing."""
    found = distillation_loss(jnp.array([200.0, 200.0]), jnp.array([-200.0, 200.0]))
    np.testing.assert_allclose(found, [200.0, 0.0])


def test_pixels_that_do_not_count_say_nothing_whatever_they_hold():
    where = jnp.array([True, False, False])
    x, z = jnp.array([1.0, jnp.nan, 2.0]), jnp.array([0.0, 1.0, jnp.inf])

    def total(x):
        return distillation_loss(x, z, where=where).sum()

    value, gradient = jax.value_and_grad(total)(x)
    np.testing.assert_allclose(value, distillation_loss(x[:1], z[:1]).sum())
    np.testing.assert_array_equal(gradient[1:], [0, 0])


def test_half_precision_is_raised():
    x, z = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.25])
    found = distillation_loss(x.astype(jnp.bfloat16), z.astype(jnp.bfloat16))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, distillation_loss(x, z))


def test_other_shapes_are_named():
    with pytest.raises((ValueError, TypeError), match="taught"):
        distillation_loss(jnp.zeros(2), jnp.zeros(3))
