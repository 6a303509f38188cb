import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.dot_product_attention import plain_attention
from mst_jax.layers.splash_attention import splash_attention

NUM_EXAMPLES, NUM_HEADS, NUM_QUERIES, NUM_KEYS, WIDTH = 2, 2, 100, 140, 24


@pytest.fixture
def inputs(rng):
    """Queries, keys and values in bfloat16, and the gradient of the result."""
    shapes = [
        (NUM_EXAMPLES, NUM_HEADS, num_tokens, WIDTH)
        for num_tokens in (NUM_QUERIES, NUM_KEYS, NUM_KEYS)
    ]
    tokens = [jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for shape in shapes]
    output_shape = (NUM_EXAMPLES, NUM_QUERIES, NUM_HEADS, WIDTH)
    return tokens, jnp.asarray(rng.normal(size=output_shape), jnp.float32)


def output_and_gradients(attend, tokens, blocked, output_gradient):
    def loss_of(*tokens):
        output = attend(*tokens, blocked).astype(jnp.float32)
        return (output * output_gradient).sum(), output

    gradient = jax.grad(loss_of, argnums=(0, 1, 2), has_aux=True)
    gradients, output = jax.jit(gradient)(*tokens)
    return output, *gradients


def interpreted_splash_attention(query, key, value, blocked):
    return splash_attention(query, key, value, blocked, interpret=True)


@pytest.mark.parametrize("mask", ["none", "keys"])
def test_kernel_matches_plain_attention(inputs, mask, rng):
    """Neither number of tokens fills the blocks; one example has all keys blocked."""
    tokens, output_gradient = inputs
    blocked = None
    if mask == "keys":
        blocked = rng.random((NUM_EXAMPLES, 1, NUM_KEYS)) < 0.4
        blocked[1] = True
        blocked = jnp.asarray(blocked)
    actual = output_and_gradients(
        interpreted_splash_attention, tokens, blocked, output_gradient
    )
    float_tokens = [array.astype(jnp.float32) for array in tokens]
    expected = output_and_gradients(
        plain_attention, float_tokens, blocked, output_gradient
    )
    for actual_array, expected_array in zip(actual, expected, strict=True):
        actual_array = np.asarray(actual_array, np.float32)
        np.testing.assert_allclose(actual_array, expected_array, atol=2e-2)
        # The bound would also accept zeros for small gradients.
        error = np.abs(actual_array - expected_array).mean()
        assert error <= 1e-2 * np.abs(expected_array).mean() + 1e-6
