import jax
import jax.numpy as jnp
import numpy as np
import pytest
from einops import rearrange

from mst_jax.tokens.cross_scale_attention import CrossScaleAttention


@pytest.fixture(scope="module")
def attention_case():
    """Apply function, nonzero variables, and (grid 4x6, fine tokens, coarse tokens)."""
    rng = np.random.default_rng(1)
    module = CrossScaleAttention(
        num_heads=2, expert_hidden=8, mlp_hidden=4, pool_size=2
    )
    inputs = [
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((1, 4, 6, 8), (1, 7, 8), (1, 3, 8))
    ]
    variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), jnp.float32),
        variables,
    )
    return jax.jit(module.apply), variables, inputs


def test_tokens_are_independent_and_attend_to_the_whole_grid(attention_case):
    apply, variables, (grid, fine, coarse) = attention_case
    before, coarse_before = apply(variables, grid, fine, coarse)
    flipped_fine = fine.at[0, 2].multiply(-1)
    after, coarse_after = apply(variables, grid, flipped_fine, coarse)
    has_changed = np.abs(before - after).max(-1)[0] > 1e-5
    np.testing.assert_array_equal(has_changed, [0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(coarse_before, coarse_after)
    # A change of any base token changes them all.
    changed_grid = grid.at[0, 3, 5].add(jnp.arange(8.0))
    after, _ = apply(variables, changed_grid, fine, coarse)
    assert (np.abs(after - before).max(-1) > 1e-5).all()


def test_scales_share_everything_but_their_experts(attention_case):
    apply, variables, (grid, _, coarse) = attention_case
    as_fine, as_coarse = apply(variables, grid, coarse, coarse)
    assert np.abs(as_fine - as_coarse).max() > 1e-3
    params = variables["params"]
    one_expert = {"params": params | {"coarse": params["fine"]}}
    np.testing.assert_array_equal(*apply(one_expert, grid, coarse, coarse))


def test_partial_squares_are_dropped(attention_case):
    apply, variables, (grid, fine, coarse) = attention_case
    expected = apply(variables, grid, fine, coarse)
    larger_grid = jnp.pad(grid, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=7.0)
    actual = apply(variables, larger_grid, fine, coarse)
    for updated, expected_tokens in zip(actual, expected, strict=True):
        np.testing.assert_allclose(updated, expected_tokens, atol=1e-6)


@pytest.mark.parametrize(
    ("pool_size", "height", "width", "message"),
    [
        (4, 2, 2, "image has 2x2 patches, token selection needs 4x4 or more"),
        (2, 1, 6, "image has 1x6 patches, token selection needs 2x2 or more"),
    ],
)
def test_grid_smaller_than_a_square_raises(pool_size, height, width, message):
    module = CrossScaleAttention(
        num_heads=2, expert_hidden=8, mlp_hidden=4, pool_size=pool_size
    )
    tokens = jnp.zeros((1, 3, 8))
    with pytest.raises(ValueError, match=message):
        module.init(jax.random.key(0), jnp.zeros((1, height, width, 8)), tokens, tokens)


def slow_norm(x, params):
    """Layer norm with eps 1e-5."""
    scale, bias = params["norm"]["scale"], params["norm"]["bias"]
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt(centered.var(-1, keepdims=True) + 1e-5) * scale + bias


def slow_mlp(x, params):
    """Two dense layers with the exact GELU between them."""
    x = x @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    x = np.asarray(jax.nn.gelu(x, approximate=False))
    return x @ params["out"]["kernel"] + params["out"]["bias"]


def test_updates_match_the_formula_in_numpy(attention_case):
    """Inputs near 0.01, so that the eps of the norms matters."""
    apply, variables, inputs = attention_case
    params = jax.tree.map(np.asarray, variables["params"])
    grid, *scales = (0.01 * np.asarray(x) for x in inputs)
    normed_grid = slow_norm(grid, params["norm_grid"])[0]
    squares = rearrange(normed_grid, "(i y) (j x) c -> i j (y x c)", y=2, x=2)
    pooled = squares @ params["reduce"]["kernel"].reshape(32, 8)
    pooled = (pooled + params["reduce"]["bias"]).reshape(6, 8)
    pooled = slow_norm(pooled, params["reduce_norm"])

    def project_heads(x, name):
        return np.einsum("nc,cad->and", x, params["attention"][name]["kernel"])

    keys, values = project_heads(pooled, "key"), project_heads(pooled, "value")
    actual = apply(variables, grid, *scales)
    for tokens, updated, name in zip(scales, actual, ("fine", "coarse"), strict=True):
        normed_tokens = slow_norm(tokens[0], params["norm_tokens"])
        queries = project_heads(normed_tokens, "query")
        weights = np.exp(np.einsum("and,amd->anm", queries, keys) / 2)
        weights /= weights.sum(-1, keepdims=True)
        attended = rearrange(weights @ values, "a n d -> n (a d)")
        expected = tokens[0] + slow_mlp(attended, params[name])
        normed_expected = slow_norm(expected, params["norm_mlp"])
        expected = expected + slow_mlp(normed_expected, params["mlp"])
        np.testing.assert_allclose(updated[0], expected, atol=1e-4)
