import jax
import jax.numpy as jnp
import numpy as np
import pytest
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens.scores import LookAtGrid, click_token, token_scores

E = np.eye(3, dtype=np.float32)


def click(tokens, cells, clicked, attends):
    return np.asarray(
        click_token(
            jnp.asarray(tokens, jnp.float32),
            jnp.asarray(cells),
            jnp.asarray(clicked),
            attends=attends,
        )
    )


def test_the_plain_click_token_is_the_mean_of_what_was_clicked():
    tokens = 3 * E
    np.testing.assert_allclose(
        click(tokens, [0, 2], [True, True], False), [1.5, 0, 1.5]
    )
    # A token that is clicked twice counts twice; slots without a click count nothing.
    got = click(tokens, [0, 2, 2, 1], [True, True, True, False], False)
    np.testing.assert_allclose(got, [1, 0, 2])


def test_clicked_tokens_look_at_each_other():
    """Written out in NumPy: softmax(T T^t / sqrt(c)) T, mean of rows, length 1."""
    rng = np.random.default_rng(3)
    tokens = rng.normal(size=(5, 4)).astype(np.float32)
    rows = tokens[[1, 4, 4]].astype(np.float64)
    logits = rows @ rows.T / 2.0
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    want = (weights @ rows).mean(0)
    want /= np.linalg.norm(want)
    got = click(tokens, [1, 0, 4, 4], [True, False, True, True], True)
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert abs(np.linalg.norm(got) - 1) < 1e-6


@pytest.mark.parametrize("attends", [True, False])
def test_without_a_click_token_and_scores_are_zero_and_have_a_gradient(attends):
    tokens = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)

    def total(tokens):
        token = click_token(
            tokens, jnp.zeros(2, int), jnp.zeros(2, bool), attends=attends
        )
        return token_scores(tokens, token).sum() + token.sum()

    value, gradient = jax.value_and_grad(total)(tokens)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((4, 3)))


def test_scores_are_the_angle_to_the_click_token():
    token = jnp.array([2.0, 0.0, 0.0])
    tokens = jnp.array([[5.0, 0, 0], [0, 1, 0], [-3, 0, 0], [1, 1, 0], [0, 0, 0]])
    want = [1.0, 0.5, 0.0, (1 + 2**-0.5) / 2, 0.5]
    np.testing.assert_allclose(token_scores(tokens, token), want, atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_scores_do_not_depend_on_lengths(seed, scale):
    rng = np.random.default_rng(seed)
    tokens = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)
    token = jnp.asarray(rng.normal(size=3), jnp.float32)
    scores = token_scores(tokens, token)
    assert ((scores >= -1e-6) & (scores <= 1 + 1e-6)).all()
    np.testing.assert_allclose(
        token_scores(tokens * jnp.float32(scale), token / jnp.float32(scale)),
        scores,
        atol=1e-5,
    )


@pytest.fixture(scope="module")
def looked():
    """(module, params none of which is 0, grid 4x6, fine tokens, coarse tokens)."""
    rng = np.random.default_rng(1)
    module = LookAtGrid(num_heads=2, expert_hidden=8, mlp_hidden=4, reduce=2)
    inputs = [
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((1, 4, 6, 8), (1, 7, 8), (1, 3, 8))
    ]
    variables = jax.jit(module.init)(jax.random.key(0), *inputs)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), jnp.float32),
        variables,
    )
    return jax.jit(module.apply), variables, inputs


def test_each_token_is_looked_after_alone_and_sees_the_grid(looked):
    apply, variables, (grid, fine, coarse) = looked
    after, coarse_after = apply(variables, grid, fine, coarse)
    other, coarse_other = apply(variables, grid, fine.at[0, 2].multiply(-1), coarse)
    changed = np.abs(after - other).max(-1)[0] > 1e-5
    np.testing.assert_array_equal(changed, [0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(coarse_after, coarse_other)
    # Any base token changes them all.
    moved = grid.at[0, 3, 5].add(jnp.arange(8.0))
    assert (
        np.abs(apply(variables, moved, fine, coarse)[0] - after).max(-1) > 1e-5
    ).all()


def test_scales_share_everything_but_their_experts(looked):
    apply, variables, (grid, _, coarse) = looked
    as_fine, as_coarse = apply(variables, grid, coarse, coarse)
    assert np.abs(as_fine - as_coarse).max() > 1e-3
    params = variables["params"]
    shared = {"params": params | {"coarse": params["fine"]}}
    np.testing.assert_array_equal(*apply(shared, grid, coarse, coarse))


def test_what_does_not_fill_a_square_is_not_looked_at(looked):
    apply, variables, (grid, fine, coarse) = looked
    whole = apply(variables, grid, fine, coarse)
    more = jnp.pad(grid, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=7.0)
    for got, want in zip(apply(variables, more, fine, coarse), whole, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_a_grid_smaller_than_a_square_is_refused():
    module = LookAtGrid(num_heads=1, expert_hidden=4, mlp_hidden=4, reduce=4)
    tokens = jnp.zeros((1, 4, 2))
    with pytest.raises(ValueError, match="has 2x2 patches, token selection needs 4x4"):
        module.init(jax.random.key(0), jnp.zeros((1, 2, 2, 2)), tokens, tokens)


def normed(x, params):
    """Layer norm with eps 1e-5."""
    scale, bias = params["norm"]["scale"], params["norm"]["bias"]
    apart = x - x.mean(-1, keepdims=True)
    return apart / np.sqrt(apart.var(-1, keepdims=True) + 1e-5) * scale + bias


def two_layers(x, params):
    x = x @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    x = np.asarray(jax.nn.gelu(x, approximate=False))
    return x @ params["out"]["kernel"] + params["out"]["bias"]


def test_the_formula_written_out(looked):
    """Numbers near 0.01, so that the norms' eps is heard."""
    apply, variables, inputs = looked
    p = jax.tree.map(np.asarray, variables["params"])
    grid, *scales = (0.01 * np.asarray(x) for x in inputs)
    memory = rearrange(
        normed(grid, p["norm_grid"])[0], "(i y) (j x) c -> i j (y x c)", y=2, x=2
    )
    memory = memory @ p["reduce"]["kernel"].reshape(32, 8) + p["reduce"]["bias"]
    memory = normed(memory.reshape(6, 8), p["reduce_norm"])

    def heads(x, name):
        return np.einsum("nc,cad->and", x, p["attention"][name]["kernel"])

    key, value = heads(memory, "key"), heads(memory, "value")
    got = apply(variables, grid, *scales)
    for x, after, name in zip(scales, got, ("fine", "coarse"), strict=True):
        query = heads(normed(x[0], p["norm_tokens"]), "query")
        weights = np.exp(np.einsum("and,amd->anm", query, key) / 2)
        weights /= weights.sum(-1, keepdims=True)
        gathered = rearrange(weights @ value, "a n d -> n (a d)")
        want = x[0] + two_layers(gathered, p[name])
        want = want + two_layers(normed(want, p["norm_mlp"]), p["mlp"])
        np.testing.assert_allclose(after[0], want, atol=1e-4)


def test_a_picture_smaller_than_a_square_is_refused():
    module = LookAtGrid(num_heads=2, expert_hidden=8, mlp_hidden=4, reduce=2)
    tokens = jnp.zeros((1, 3, 8))
    with pytest.raises(ValueError, match=r"picture has 1x6 patches, .* needs 2x2 or"):
        module.init(jax.random.key(0), jnp.zeros((1, 1, 6, 8)), tokens, tokens)


@pytest.mark.parametrize("attends", [True, False])
def test_bfloat16_tokens_are_raised(attends):
    tokens = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.bfloat16)
    cells, clicked = jnp.array([0, 2, 3]), jnp.ones(3, bool)
    got, want = (
        click_token(x, cells, clicked, attends=attends)
        for x in (tokens, tokens.astype(jnp.float32))
    )
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(
        token_scores(tokens, got), token_scores(tokens.astype(jnp.float32), got)
    )
