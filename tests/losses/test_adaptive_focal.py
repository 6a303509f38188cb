"""Adaptive focal loss: values by hand, special cases, gradients, saturation."""

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses import (
    adaptive_focal_loss,
    binary_cross_entropy_loss,
    focal_loss,
    normalized_focal_loss,
    poly_loss,
)

UNADAPTED = dict(axis=-1, epsilon=-1.0, adaptive_gamma=False, gradient_correction=False)


@pytest.fixture
def logits_and_labels(rng):
    logits = 3 * rng.normal(size=(3, 20))
    return jnp.asarray(logits, jnp.float32), jnp.asarray(rng.random((3, 20)) < 0.4)


def test_two_pixels_match_hand_computation():
    # p = 1/2 and 3/4 at labels 1 and 0: 1 - pt is 1/2 and 3/4, pt of the object is 1/2.
    gamma_a = 1 + 1 - 1 / 2
    error = np.array([1 / 2, 3 / 4])
    omega = 2 / ((1 + 0.2 * gamma_a) * (error**gamma_a).sum())
    first_term = omega * error**gamma_a * np.log([2, 4])
    expected = [0.3, 0.7] * (first_term + 0.6 * error ** (gamma_a + 1))
    loss = adaptive_focal_loss(
        jnp.array([0.0, np.log(3.0)]),
        jnp.array([1, 0]),
        **dict(gamma=1.0, delta=0.2, alpha=0.6, epsilon=0.3),
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_both_options_off_is_the_poly_loss(logits_and_labels):
    loss = adaptive_focal_loss(*logits_and_labels, gamma=1.5, alpha=0.7, **UNADAPTED)
    np.testing.assert_allclose(
        loss, poly_loss(*logits_and_labels, gamma=1.5, alpha=0.7), rtol=1e-6
    )


def test_both_options_off_and_alpha_0_is_the_focal_loss(logits_and_labels):
    loss = adaptive_focal_loss(*logits_and_labels, gamma=1.5, alpha=0.0, **UNADAPTED)
    np.testing.assert_allclose(
        loss, focal_loss(*logits_and_labels, gamma=1.5), rtol=1e-6
    )


def test_both_options_off_and_gamma_0_is_the_cross_entropy(logits_and_labels):
    loss = adaptive_focal_loss(*logits_and_labels, gamma=0.0, alpha=0.0, **UNADAPTED)
    np.testing.assert_allclose(
        loss, binary_cross_entropy_loss(*logits_and_labels), rtol=1e-6
    )


def test_delta_0_is_the_normalized_focal_loss_plus_a_poly_term(logits_and_labels):
    loss = adaptive_focal_loss(
        *logits_and_labels, axis=-1, delta=0.0, adaptive_gamma=False
    )
    term = poly_loss(*logits_and_labels) - focal_loss(*logits_and_labels)
    expected = (
        normalized_focal_loss(*logits_and_labels, axis=-1, alpha=0.5) + 0.5 * term
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-7)


def test_exponent_grows_as_the_object_gets_worse():
    """The exponent is read off: without omega and alpha,
    loss = (1 - pt)^gamma_a * BCE.
    """
    labels = jnp.array([[1, 0], [1, 0], [0, 0]])
    logits = jnp.array([[60.0, 0.0], [-60.0, 0.0], [0.0, 0.0]])
    loss = adaptive_focal_loss(
        logits, labels, axis=-1, alpha=0.0, epsilon=-1.0, gradient_correction=False
    )
    exponent = -np.log2(loss[:, 1] / np.log(2.0))
    np.testing.assert_allclose(exponent, [2.0, 3.0, 3.0], rtol=1e-5)


def loss_with_constants(logits, labels, gamma_a, omega):
    """Compute the loss in NumPy and float64 with a given exponent and weight."""
    neg_margin = np.where(labels, -logits, logits)
    error = 1 / (1 + np.exp(-neg_margin))
    first_term = omega * error**gamma_a * np.logaddexp(0.0, neg_margin)
    return np.where(labels, 0.25, 0.75) * (first_term + error ** (gamma_a + 1))


@pytest.mark.parametrize("adaptive_gamma", [True, False])
@pytest.mark.parametrize("gradient_correction", [True, False])
def test_exponent_and_weight_get_no_gradient(rng, adaptive_gamma, gradient_correction):
    logits = 2 * rng.normal(size=12)
    labels = rng.random(12) < 0.5
    error = 1 / (1 + np.exp(-np.where(labels, -logits, logits)))
    gamma_a = 2 + 1 - (1 - error)[labels].mean() if adaptive_gamma else 2.0
    omega = (
        12 / ((1 + 0.4 * gamma_a) * (error**gamma_a).sum())
        if gradient_correction
        else 1.0
    )
    steps = 1e-5 * np.eye(12)
    loss_above, loss_below = (
        loss_with_constants(logits + sign * steps, labels, gamma_a, omega).sum(-1)
        for sign in (1, -1)
    )
    # jax 0.7.2 has it in jax.experimental, jax 0.11 has not.
    has_it = hasattr(jax, "enable_x64")
    enable_x64 = jax.enable_x64 if has_it else jax.experimental.enable_x64
    with enable_x64(True):

        def total_loss(x):
            options = dict(
                epsilon=0.25,
                adaptive_gamma=adaptive_gamma,
                gradient_correction=gradient_correction,
            )
            return adaptive_focal_loss(x, jnp.asarray(labels), **options).sum()

        value, gradient = jax.jit(jax.value_and_grad(total_loss))(logits)
    expected = loss_with_constants(logits, labels, gamma_a, omega).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(
        gradient, (loss_above - loss_below) / 2e-5, rtol=1e-7, atol=1e-10
    )


@jax.jit
@jax.value_and_grad
def value_and_gradient_of_mean(logits, labels):
    return adaptive_focal_loss(logits, labels).mean()


@pytest.mark.parametrize("logit", [30.0, 50.0, 80.0, 200.0])
def test_saturated_right_mask_has_the_exact_loss(logit):
    """All weights are equal: half the cross-entropy over 1 + delta * gamma."""
    labels = np.arange(100) % 2
    value, gradient = value_and_gradient_of_mean(
        np.where(labels > 0, logit, -logit).astype(np.float32), labels
    )
    expected = 0.5 * np.exp(-logit) / (1 + 0.4 * 2)
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-37)
    assert jnp.isfinite(gradient).all()


def test_one_wrong_pixel_gets_most_of_the_gradient():
    labels = jnp.ones(1000)
    logits = jnp.full(1000, 4.0).at[0].set(-1.0)

    def gradient_share(loss):
        gradient_of = jax.jit(jax.grad(lambda x: loss(x, labels).sum()))
        gradient_size = np.abs(gradient_of(logits))
        return float(gradient_size[0] / gradient_size.sum())

    assert gradient_share(binary_cross_entropy_loss) < 0.05
    assert gradient_share(adaptive_focal_loss) > 0.95
