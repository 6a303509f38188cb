"""Properties of every mask loss."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import losses
from mst_jax.losses.mask_losses import MASK_LOSSES, as_mask_loss, loss_options

LOSS_NAMES = list(MASK_LOSSES)


@pytest.fixture
def arrays(rng):
    shape = (3, 4, 5)
    logits = jnp.asarray(2 * rng.normal(size=shape), jnp.float32)
    target, valid = jnp.asarray(rng.random((2, *shape)) < 0.6)
    return logits, target, valid


@partial(jax.jit, static_argnames="name")
def value_and_gradient(name, logits, target, valid):
    """Return the values of the examples, and the gradient of their sum."""

    def total_loss(x):
        values = MASK_LOSSES[name](x, target, where=valid)
        return values.sum(), values

    (_, values), gradient = jax.value_and_grad(total_loss, has_aux=True)(logits)
    return values, gradient


def test_every_public_loss_is_a_mask_loss():
    wrapped = {inspect.unwrap(loss).__name__ for loss in MASK_LOSSES.values()}
    assert wrapped == set(losses.__all__)


def test_pixel_losses_are_averaged_and_options_passed_on():
    def scaled_logits(logits, targets, *, scale=1.0, axis=-1, where=None):
        assert axis == (-2, -1)
        return jnp.where(where, scale * logits, 0.0)

    mask_loss = as_mask_loss(scaled_logits)
    valid = jnp.array([[[True, True], [False, True]], [[False] * 2] * 2])
    values = mask_loss(
        jnp.array([[[1.0, 2], [9, 6]]] * 2), valid, where=valid, scale=2.0
    )
    np.testing.assert_array_equal(values, [6, 0])
    assert loss_options(mask_loss) == {"scale": 1.0}


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_ignored_pixels_are_as_if_removed(name, arrays):
    values, gradient = value_and_gradient(name, *arrays)
    logits, target, valid = (np.asarray(array[0]) for array in arrays)
    remaining = (
        logits[valid][None],
        target[valid][None],
        np.ones((1, valid.sum()), bool),
    )
    expected, expected_gradient = value_and_gradient(name, *map(jnp.asarray, remaining))
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)
    np.testing.assert_allclose(
        gradient[0][valid], expected_gradient[0], rtol=1e-5, atol=1e-9
    )
    np.testing.assert_array_equal(gradient[0][~valid], 0)


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("ignored_logit", [jnp.nan, jnp.inf, -jnp.inf])
def test_ignored_logits_may_be_anything(name, ignored_logit, arrays):
    logits, target, valid = arrays
    changed = jnp.where(valid, logits, ignored_logit)
    for result, changed_result in zip(
        value_and_gradient(name, logits, target, valid),
        value_and_gradient(name, changed, target, valid),
        strict=True,
    ):
        np.testing.assert_array_equal(result, changed_result)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_example_without_valid_pixels_has_no_loss_and_no_gradient(name, arrays):
    logits, target, valid = arrays
    valid = valid.at[1].set(False)
    values, gradient = value_and_gradient(name, logits, target, valid)
    assert values[1] == 0 and (values[jnp.array([0, 2])] > 0).all()
    np.testing.assert_array_equal(gradient[1], np.zeros((4, 5)))


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("magnitude", [16.0, 80.0])
def test_saturated_values_and_gradients_are_finite(name, magnitude):
    """All right, all wrong, half of each, and all of one class."""
    target = jnp.broadcast_to(jnp.arange(4) % 2 == 1, (5, 4, 4))
    right = jnp.where(target, magnitude, -magnitude)
    half = right.at[2, :2].set(-right[2, :2])
    logits = half.at[1].set(-right[1]).at[3].set(magnitude).at[4].set(-magnitude)
    target = target.at[3].set(True).at[4].set(False)
    values, gradient = value_and_gradient(name, logits, target, jnp.ones_like(target))
    assert jnp.isfinite(values).all() and jnp.isfinite(gradient).all()
    assert values[0] < 1e-6 and (values[1:3] > 0.01).all()


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_raised_to_float32(name, dtype, arrays):
    logits, target, valid = arrays
    logits = logits.astype(dtype)
    values, gradient = value_and_gradient(name, logits, target, valid)
    assert values.dtype == jnp.float32
    assert gradient.dtype == dtype
    exact, _ = value_and_gradient(name, logits.astype(jnp.float32), target, valid)
    np.testing.assert_array_equal(values, exact)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_jit_and_vmap_change_nothing(name, arrays):
    values, gradient = value_and_gradient(name, *arrays)
    logits, target, valid = arrays
    eager_values = MASK_LOSSES[name](logits, target, where=valid)
    np.testing.assert_allclose(eager_values, values, rtol=1e-6)
    mapped_values, mapped_gradient = jax.vmap(partial(value_and_gradient, name))(
        *arrays
    )
    np.testing.assert_allclose(mapped_values, values, rtol=1e-6)
    np.testing.assert_allclose(mapped_gradient, gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_a_small_step_down_the_gradient_lowers_the_loss(name, arrays):
    logits, target, valid = arrays
    before, gradient = value_and_gradient(name, *arrays)
    after, _ = value_and_gradient(name, logits - 0.1 * gradient, target, valid)
    assert (after < before).all()
