"""Laws of every mask loss."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import losses
from mst_jax.losses.mask_losses import MASK_LOSSES, in_mask_form

NAMES = list(MASK_LOSSES)


@pytest.fixture
def case(rng):
    shape = (3, 4, 5)
    logits = jnp.asarray(2 * rng.normal(size=shape), jnp.float32)
    target, valid = jnp.asarray(rng.random((2, *shape)) < 0.6)
    return logits, target, valid


@partial(jax.jit, static_argnames="name")
def value_and_gradient(name, logits, target, valid):
    """Values of the examples, and the gradient of their sum."""

    def total(x):
        values = MASK_LOSSES[name](x, target, valid)
        return values.sum(), values

    (_, values), gradient = jax.value_and_grad(total, has_aux=True)(logits)
    return values, gradient


def test_every_public_loss_has_a_name():
    wrapped = {inspect.unwrap(loss).__name__ for loss in MASK_LOSSES.values()}
    assert wrapped == set(losses.__all__)


def test_pixels_become_their_mean_and_options_go_through():
    def loss(logits, targets, *, scale=1.0, axis=-1, where=None):
        assert axis == (-2, -1)
        return jnp.where(where, scale * logits, 0.0)

    mask_loss = in_mask_form(loss)
    valid = jnp.array([[[True, True], [False, True]], [[False] * 2] * 2])
    values = mask_loss(jnp.array([[[1.0, 2], [9, 6]]] * 2), valid, valid, scale=2.0)
    np.testing.assert_array_equal(values, [6, 0])
    parameters = inspect.signature(mask_loss).parameters
    assert list(parameters) == ["logits", "target", "valid", "scale"]
    assert parameters["scale"].default == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_are_as_if_left_out(name, case):
    values, gradient = value_and_gradient(name, *case)
    x, y, valid = (np.asarray(array[0]) for array in case)
    left = (x[valid][None], y[valid][None], np.ones((1, valid.sum()), bool))
    alone, alone_gradient = value_and_gradient(name, *map(jnp.asarray, left))
    np.testing.assert_allclose(values[0], alone, rtol=1e-6)
    np.testing.assert_allclose(
        gradient[0][valid], alone_gradient[0], rtol=1e-5, atol=1e-9
    )
    np.testing.assert_array_equal(gradient[0][~valid], 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strange", [jnp.nan, jnp.inf, -jnp.inf])
def test_ignored_logits_may_be_anything(name, strange, case):
    logits, target, valid = case
    changed = jnp.where(valid, logits, strange)
    for a, b in zip(
        value_and_gradient(name, logits, target, valid),
        value_and_gradient(name, changed, target, valid),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_without_valid_pixels_there_is_no_loss_and_no_gradient(name, case):
    logits, target, valid = case
    valid = valid.at[1].set(False)
    values, gradient = value_and_gradient(name, logits, target, valid)
    assert values[1] == 0 and (values[jnp.array([0, 2])] > 0).all()
    np.testing.assert_array_equal(gradient[1], np.zeros((4, 5)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [16.0, 80.0])
def test_values_and_gradients_are_finite_at_the_ends(name, size):
    """All right, all wrong, half of each, and all of one class."""
    target = jnp.broadcast_to(jnp.arange(4) % 2 == 1, (5, 4, 4))
    right = jnp.where(target, size, -size)
    half = right.at[2, :2].set(-right[2, :2])
    logits = half.at[1].set(-right[1]).at[3].set(size).at[4].set(-size)
    target = target.at[3].set(True).at[4].set(False)
    values, gradient = value_and_gradient(name, logits, target, jnp.ones_like(target))
    assert jnp.isfinite(values).all() and jnp.isfinite(gradient).all()
    assert values[0] < 1e-6 and (values[1:3] > 0.01).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_raised(name, kind, case):
    logits, target, valid = case
    logits = logits.astype(kind)
    values, gradient = value_and_gradient(name, logits, target, valid)
    assert values.dtype == jnp.float32
    assert gradient.dtype == kind
    exact, _ = value_and_gradient(name, logits.astype(jnp.float32), target, valid)
    np.testing.assert_array_equal(values, exact)


@pytest.mark.parametrize("name", NAMES)
def test_jit_and_vmap_change_nothing(name, case):
    values, gradient = value_and_gradient(name, *case)
    plain = MASK_LOSSES[name](*case)
    np.testing.assert_allclose(plain, values, rtol=1e-6)
    one, one_gradient = jax.vmap(partial(value_and_gradient, name))(*case)
    np.testing.assert_allclose(one, values, rtol=1e-6)
    np.testing.assert_allclose(one_gradient, gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_a_small_step_down_the_gradient_lowers_the_loss(name, case):
    logits, target, valid = case
    before, gradient = value_and_gradient(name, *case)
    after, _ = value_and_gradient(name, logits - 0.1 * gradient, target, valid)
    assert (after < before).all()
