import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.attention import MultiHeadAttention

NUM_EXAMPLES, NUM_QUERIES, NUM_KEYS, WIDTH, NUM_HEADS = 2, 3, 5, 8, 2


@pytest.fixture(scope="module")
def attention_case():
    """Module, variables, query tokens and key tokens."""
    rng = np.random.default_rng(1)
    inputs_q = jnp.asarray(
        rng.normal(size=(NUM_EXAMPLES, NUM_QUERIES, WIDTH)), jnp.float32
    )
    inputs_k = jnp.asarray(
        rng.normal(size=(NUM_EXAMPLES, NUM_KEYS, WIDTH)), jnp.float32
    )
    module = MultiHeadAttention(NUM_HEADS)
    variables = module.init(jax.random.key(0), inputs_q, inputs_k)
    # Biases start at zero; a test of them needs others.
    variables = jax.tree.map(
        lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32),
        variables,
    )
    return module, variables, inputs_q, inputs_k


def slow_attention(params, inputs_q, inputs_k, blocked):
    """Attention by its definition: one head, one query at a time, in float64."""
    inputs_q = np.asarray(inputs_q, np.float64)
    inputs_k = np.asarray(inputs_k, np.float64)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    outputs = np.zeros(inputs_q.shape)
    for b in range(len(inputs_q)):
        for a in range(NUM_HEADS):
            query, key, value = (
                tokens[b] @ params[name]["kernel"][:, a] + params[name]["bias"][a]
                for name, tokens in (
                    ("query", inputs_q),
                    ("key", inputs_k),
                    ("value", inputs_k),
                )
            )
            for n in range(len(query)):
                allowed = ~blocked[b, n]
                logits = key[allowed] @ query[n] / np.sqrt(query.shape[-1])
                weights = np.exp(logits - logits.max())
                attended = weights @ value[allowed] / weights.sum()
                outputs[b, n] += attended @ params["out"]["kernel"][a]
    return outputs + params["out"]["bias"]


def test_attention_matches_definition(attention_case):
    module, variables, inputs_q, inputs_k = attention_case
    blocked = np.zeros((NUM_EXAMPLES, NUM_QUERIES, NUM_KEYS), bool)
    expected = slow_attention(variables["params"], inputs_q, inputs_k, blocked)
    actual = module.apply(variables, inputs_q, inputs_k)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_blocked_keys_are_ignored(attention_case, rng):
    module, variables, inputs_q, inputs_k = attention_case
    blocked = rng.random((NUM_EXAMPLES, NUM_QUERIES, NUM_KEYS)) < 0.5
    blocked[..., 0] = False
    expected = slow_attention(variables["params"], inputs_q, inputs_k, blocked)
    actual = module.apply(variables, inputs_q, inputs_k, blocked=jnp.asarray(blocked))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_order_of_keys_does_not_matter(attention_case):
    module, variables, inputs_q, inputs_k = attention_case
    np.testing.assert_allclose(
        module.apply(variables, inputs_q, inputs_k[:, ::-1]),
        module.apply(variables, inputs_q, inputs_k),
        atol=1e-5,
    )


def test_values_may_differ_from_keys(attention_case, rng):
    """The mean of equal values is that value, whatever the keys are."""
    module, variables, inputs_q, inputs_k = attention_case
    equal_values = jnp.broadcast_to(inputs_q[:, :1], inputs_k.shape)
    actual = module.apply(variables, inputs_q, inputs_k, inputs_v=equal_values)
    expected = module.apply(
        variables, inputs_q, inputs_k[:, ::-1] - 1.0, inputs_v=equal_values
    )
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    same_values = module.apply(variables, inputs_q, inputs_k, inputs_v=inputs_k)
    np.testing.assert_array_equal(
        same_values, module.apply(variables, inputs_q, inputs_k)
    )
    other_values = module.apply(variables, inputs_q, inputs_k, inputs_v=inputs_k + 1.0)
    assert not np.allclose(other_values, same_values, atol=1e-2)


def test_fully_blocked_query_returns_mean_of_values(attention_case):
    module, variables, inputs_q, inputs_k = attention_case
    blocked = jnp.ones((NUM_EXAMPLES, NUM_QUERIES, NUM_KEYS), bool)
    actual = module.apply(variables, inputs_q, inputs_k, blocked=blocked)
    equal_keys = jnp.zeros_like(inputs_k)
    expected = module.apply(variables, inputs_q, equal_keys, inputs_v=inputs_k)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        MultiHeadAttention(3).init(
            jax.random.key(0), jnp.ones((1, 2, 8)), jnp.ones((1, 2, 8))
        )
