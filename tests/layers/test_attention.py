import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.attention import Attention

B, N, M, C, HEADS = 2, 3, 5, 8, 2


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(B, N, C)), jnp.float32)
    memory = jnp.asarray(rng.normal(size=(B, M, C)), jnp.float32)
    module = Attention(HEADS)
    variables = module.init(jax.random.key(0), x, memory)
    # Biases start at zero; a test of them needs others.
    variables = jax.tree.map(
        lambda a: a + 0.1 * rng.normal(size=a.shape).astype(np.float32), variables
    )
    return module, variables, x, memory


def slow_attention(params, x, memory, blocked):
    """The definition, one head, one query at a time, in float64."""
    x, memory = np.asarray(x, np.float64), np.asarray(memory, np.float64)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    out = np.zeros(x.shape)
    for b in range(len(x)):
        for a in range(HEADS):
            q, k, v = (
                y[b] @ p[name]["kernel"][:, a] + p[name]["bias"][a]
                for name, y in (("query", x), ("key", memory), ("value", memory))
            )
            for n in range(len(q)):
                seen = ~blocked[b, n]
                logit = k[seen] @ q[n] / np.sqrt(q.shape[-1])
                weight = np.exp(logit - logit.max())
                gathered = weight @ v[seen] / weight.sum()
                out[b, n] += gathered @ p["out"]["kernel"][a]
    return out + p["out"]["bias"]


def test_attention_is_its_definition(case):
    module, variables, x, memory = case
    blocked = np.zeros((B, N, M), bool)
    want = slow_attention(variables["params"], x, memory, blocked)
    np.testing.assert_allclose(module.apply(variables, x, memory), want, atol=1e-5)


def test_what_is_blocked_is_not_seen(case, rng):
    module, variables, x, memory = case
    blocked = rng.random((B, N, M)) < 0.5
    blocked[..., 0] = False
    want = slow_attention(variables["params"], x, memory, blocked)
    got = module.apply(variables, x, memory, blocked=jnp.asarray(blocked))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_order_of_the_memory_does_not_matter(case):
    module, variables, x, memory = case
    np.testing.assert_allclose(
        module.apply(variables, x, memory[:, ::-1]),
        module.apply(variables, x, memory),
        atol=1e-5,
    )


def test_values_may_differ_from_keys(case, rng):
    """Equal values are gathered as they are, whatever the keys are."""
    module, variables, x, memory = case
    value = jnp.broadcast_to(x[:, :1], memory.shape)
    got = module.apply(variables, x, memory, value=value)
    want = module.apply(variables, x, memory[:, ::-1] - 1.0, value=value)
    np.testing.assert_allclose(got, want, atol=1e-5)
    same = module.apply(variables, x, memory, value=memory)
    np.testing.assert_array_equal(same, module.apply(variables, x, memory))
    other = module.apply(variables, x, memory, value=memory + 1.0)
    assert not np.allclose(other, same, atol=1e-2)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        Attention(3).init(jax.random.key(0), jnp.ones((1, 2, 8)), jnp.ones((1, 2, 8)))
