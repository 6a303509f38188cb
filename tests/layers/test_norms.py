import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.norms import GroupNorm, LayerNorm


def init_with_output(norm, key, x):
    return jax.jit(norm.init_with_output)(key, x)


def test_layer_norm_of_three_numbers():
    norm = LayerNorm(eps=0.0)
    normed, _ = init_with_output(norm, jax.random.key(0), jnp.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(normed, [[-1.2247449, 0.0, 1.2247449]], rtol=1e-6)


def test_layer_norm_is_precise_where_the_mean_is_large(rng):
    x = rng.normal(size=(4, 64)).astype(np.float32) + 1000.0
    normed, _ = init_with_output(LayerNorm(), jax.random.key(0), jnp.asarray(x))
    centered = x.astype(np.float64)
    centered -= centered.mean(-1, keepdims=True)
    expected = centered / np.sqrt(centered.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(normed, expected, atol=1e-4)


def test_group_norm_with_one_group_normalizes_the_whole_map(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 5, 4)), jnp.float32)
    normed, _ = init_with_output(GroupNorm(), jax.random.key(0), x)
    np.testing.assert_allclose(normed.mean((1, 2, 3)), [0, 0], atol=1e-6)
    np.testing.assert_allclose(normed.var((1, 2, 3)), [1, 1], rtol=1e-4)
    scale = np.asarray(normed[0]) / (x[0] - x[0].mean())
    np.testing.assert_allclose(scale, np.full_like(scale, 1 / x[0].std()), rtol=1e-3)


@pytest.mark.parametrize("norm, eps", [(LayerNorm(), 1e-6), (GroupNorm(), 1e-5)])
def test_small_variance_reveals_eps(norm, eps):
    x = jnp.tile(jnp.array([-1.0, 1.0]), (1, 2, 2, 2)) * 1e-5**0.5
    normed, _ = init_with_output(norm, jax.random.key(0), x)
    np.testing.assert_allclose(normed, x / (1e-5 + eps) ** 0.5, rtol=1e-4)


@pytest.mark.parametrize("norm", [LayerNorm(), GroupNorm()])
def test_statistics_are_float32_and_dtype_is_kept(norm, rng):
    x = jnp.asarray(300 + rng.normal(size=(1, 4, 4, 8)), jnp.bfloat16)
    normed, _ = init_with_output(norm, jax.random.key(0), x)
    exact, _ = init_with_output(norm, jax.random.key(0), x.astype(jnp.float32))
    assert normed.dtype == jnp.bfloat16
    np.testing.assert_allclose(normed.astype(jnp.float32), exact, rtol=1e-2, atol=1e-2)
