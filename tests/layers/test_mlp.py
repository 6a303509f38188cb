import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import erf

from mst_jax.layers.mlp import MLP


def test_gelu_is_the_exact_one():
    module = MLP(hidden=3)
    x = jnp.array([[-1.0, 0.5, 2.0]])
    eye = {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}
    out = module.apply({"params": {"hidden": eye, "out": eye}}, x)
    want = np.asarray(x) * 0.5 * (1 + erf(np.asarray(x) / np.sqrt(2)))
    np.testing.assert_allclose(out, want, atol=1e-6)


def test_another_activation():
    eye = {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}
    variables = {"params": {"hidden": eye, "out": eye}}
    out = MLP(hidden=3, activation=jax.nn.relu).apply(
        variables, jnp.array([[-1.0, 0.5, 2.0]])
    )
    np.testing.assert_array_equal(out, [[0.0, 0.5, 2.0]])


def test_tokens_do_not_see_each_other(rng):
    module = MLP(hidden=16)
    x = jnp.asarray(rng.normal(size=(2, 5, 4)), jnp.float32)
    out, variables = module.init_with_output(jax.random.key(0), x)
    moved = x.at[0, 0].add(1)
    changed = module.apply(variables, moved)
    np.testing.assert_array_equal(out[0, 1:], changed[0, 1:])
    assert np.abs(out[0, 0] - changed[0, 0]).max() > 1e-3
