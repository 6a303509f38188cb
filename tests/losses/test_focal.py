"""Focal losses: values by hand, ignored pixels, saturation, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax import losses

# Compiled whole: operations one by one would be compiled one by one.
focal_loss = jax.jit(losses.focal_loss, static_argnames=("gamma", "alpha"))
poly_loss = jax.jit(losses.poly_loss, static_argnames=("gamma", "alpha"))
normalized_focal_loss = jax.jit(
    losses.normalized_focal_loss, static_argnames=("axis", "gamma", "alpha")
)


def mean_loss(logits, labels, where=None, **options):
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    loss = normalized_focal_loss(logits, labels, axis=-1, where=where, **options)
    count = loss.shape[-1] if where is None else jnp.maximum(where.sum(-1), 1)
    return loss.sum(-1) / count


def test_two_pixels_of_the_normalized_focal_loss_match_hand_computation():
    # p = 1/2 and 3/4 at labels 1 and 0, so 1 - pt = 1/2 and 3/4; gamma 1, alpha 1/2.
    loss = normalized_focal_loss(
        jnp.array([0.0, np.log(3.0)]), jnp.array([1, 0]), gamma=1.0
    )
    scale = 2 / (1 / 2 + 3 / 4)
    expected = [0.5 * scale * 0.5 * np.log(2), 0.5 * scale * 0.75 * np.log(4)]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_two_pixels_of_the_focal_loss_match_hand_computation():
    logits, labels = jnp.array([0.0, np.log(3.0)]), jnp.array([1, 0])
    expected = np.array([1 / 4, 9 / 16]) * np.log([2, 4])
    np.testing.assert_allclose(focal_loss(logits, labels), expected, rtol=1e-6)
    loss = focal_loss(logits, labels, alpha=0.25)
    np.testing.assert_allclose(loss, [0.25, 0.75] * expected, rtol=1e-6)


def test_two_pixels_of_the_poly_loss_match_hand_computation():
    logits, labels = jnp.array([0.0, np.log(3.0)]), jnp.array([1, 0])
    expected = np.array([1 / 2, 3 / 4]) * np.log([2, 4]) + 0.5 * np.array(
        [1 / 4, 9 / 16]
    )
    loss = poly_loss(logits, labels, gamma=1.0, alpha=0.5)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_ignored_logits_change_nothing(seed):
    rng = np.random.default_rng(seed)
    logits, noise = rng.normal(size=(2, 3, 12)).astype(np.float32)
    labels, where = jnp.asarray(rng.random((2, 3, 12)) < 0.5)
    changed = np.where(where, logits, noise)
    loss, changed_loss = (
        normalized_focal_loss(jnp.asarray(x), labels, axis=-1, where=where)
        for x in (logits, changed)
    )
    np.testing.assert_array_equal(loss, changed_loss)
    for values, is_counted in zip(np.asarray(loss), np.asarray(where), strict=True):
        assert (values[~is_counted] == 0).all()


def test_gamma_0_is_half_the_cross_entropy(rng):
    logits = rng.normal(size=(2, 9)).astype(np.float32)
    labels = rng.random((2, 9)) < 0.5
    expected = 0.5 * np.log1p(np.exp(np.where(labels, -logits, logits)))
    loss = normalized_focal_loss(
        jnp.asarray(logits), jnp.asarray(labels), axis=-1, gamma=0.0
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_weights_of_an_example_sum_to_its_number_of_pixels(rng):
    logits = 3 * rng.normal(size=(4, 5, 6)).astype(np.float32)
    labels = jnp.asarray(rng.random((4, 5, 6)) < 0.5)
    loss = normalized_focal_loss(jnp.asarray(logits), labels, axis=(-2, -1))
    cross_entropy = jax.nn.softplus(jnp.where(labels, -logits, logits))
    weights = (loss / cross_entropy / 0.5).sum((-2, -1))
    np.testing.assert_allclose(weights, np.full(4, 30.0), rtol=1e-4)


@pytest.mark.parametrize("logit", [-200.0, -80.0, 80.0, 200.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_saturated_values_and_gradients_are_finite(logit, gamma):
    labels = jnp.array([0, 1, 1, 0])

    def total_loss(x):
        return mean_loss(x, labels, gamma=gamma).sum()

    value, gradient = jax.value_and_grad(total_loss)(jnp.full(4, logit))
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()


@pytest.mark.parametrize("logit", [30.0, 50.0, 90.0])
def test_saturated_right_mask_has_the_exact_loss(logit):
    """All weights are equal, so the loss is half the cross-entropy."""
    labels = jnp.arange(100) % 2

    def total_loss(x):
        return mean_loss(x, labels)

    value, gradient = jax.value_and_grad(total_loss)(
        jnp.where(labels > 0, logit, -logit)
    )
    np.testing.assert_allclose(value, 0.5 * np.exp(-logit), rtol=1e-4, atol=1e-37)
    assert jnp.isfinite(gradient).all()


def test_example_without_valid_pixels_has_no_loss_and_no_gradient():
    no_pixels = jnp.zeros((1, 4), bool)

    def total_loss(x):
        return mean_loss(x, jnp.ones((1, 4), bool), no_pixels).sum()

    value, gradient = jax.value_and_grad(total_loss)(jnp.ones((1, 4)))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((1, 4)))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_raised_to_float32(dtype, rng):
    logits = jnp.asarray(rng.normal(size=(2, 64)), dtype)
    labels = jnp.asarray(rng.random((2, 64)) < 0.5)
    loss = normalized_focal_loss(logits, labels, axis=-1)
    assert loss.dtype == jnp.float32
    exact = normalized_focal_loss(logits.astype(jnp.float32), labels, axis=-1)
    np.testing.assert_array_equal(loss, exact)


def test_jit_and_vmap_change_nothing(rng):
    logits = jnp.asarray(rng.normal(size=(3, 8)), jnp.float32)
    labels = jnp.asarray(rng.random((3, 8)) < 0.5)
    loss = losses.normalized_focal_loss(logits, labels, axis=-1)
    mapped_loss = jax.jit(jax.vmap(losses.normalized_focal_loss))(logits, labels)
    np.testing.assert_allclose(mapped_loss, loss, rtol=1e-6)
