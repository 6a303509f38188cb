import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, ndtr

from mst_jax.layers.mlp import MLP, exact_gelu

IDENTITY = {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}
IDENTITY_LAYERS = {"params": {"hidden": IDENTITY, "out": IDENTITY}}


def test_activation_is_exact_gelu():
    x = jnp.array([[-1.0, 0.5, 2.0]])
    actual = MLP(hidden_width=3).apply(IDENTITY_LAYERS, x)
    expected = np.asarray(x) * 0.5 * (1 + erf(np.asarray(x) / np.sqrt(2)))
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "rounding"), [(jnp.float32, 2**-23), (jnp.bfloat16, 2**-8)]
)
def test_gelu_and_its_gradient_are_exact_to_rounding(dtype, rounding):
    x = jnp.linspace(-12, 12, 4801).astype(dtype)
    value, pull_back = jax.vjp(exact_gelu, x)
    (gradient,) = pull_back(jnp.ones_like(x))
    exact_x = np.asarray(x, float)
    density = np.exp(-(exact_x**2) / 2) / np.sqrt(2 * np.pi)
    bound = rounding * np.maximum(np.abs(exact_x), 2)
    assert value.dtype == gradient.dtype == dtype
    for actual, expected in (
        (value, exact_x * ndtr(exact_x)),
        (gradient, ndtr(exact_x) + exact_x * density),
    ):
        assert (np.abs(np.asarray(actual, float) - expected) <= 2 * bound).all()


def test_activation_can_be_replaced():
    module = MLP(hidden_width=3, activation=jax.nn.relu)
    actual = module.apply(IDENTITY_LAYERS, jnp.array([[-1.0, 0.5, 2.0]]))
    np.testing.assert_array_equal(actual, [[0.0, 0.5, 2.0]])


def test_tokens_are_independent(rng):
    module = MLP(hidden_width=16)
    tokens = jnp.asarray(rng.normal(size=(2, 5, 4)), jnp.float32)
    before, variables = module.init_with_output(jax.random.key(0), tokens)
    after = module.apply(variables, tokens.at[0, 0].add(1))
    np.testing.assert_array_equal(before[0, 1:], after[0, 1:])
    assert np.abs(before[0, 0] - after[0, 0]).max() > 1e-3
