import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens import scores as token_scores

make_click_token = jax.jit(
    token_scores.make_click_token, static_argnames="self_attend_clicks"
)
score_tokens = jax.jit(token_scores.score_tokens)

IDENTITY_TOKENS = np.eye(3, dtype=np.float32)


def click_token_of(tokens, clicked_index, is_clicked, self_attend_clicks):
    click_token = make_click_token(
        jnp.asarray(tokens, jnp.float32),
        jnp.asarray(clicked_index),
        jnp.asarray(is_clicked),
        self_attend_clicks=self_attend_clicks,
    )
    return np.asarray(click_token)


def test_plain_click_token_is_the_mean_of_clicked_tokens():
    tokens = 3 * IDENTITY_TOKENS
    click_token = click_token_of(tokens, [0, 2], [True, True], False)
    np.testing.assert_allclose(click_token, [1.5, 0, 1.5])
    # A token that is clicked twice counts twice; slots without a click do not count.
    is_clicked = [True, True, True, False]
    click_token = click_token_of(tokens, [0, 2, 2, 1], is_clicked, False)
    np.testing.assert_allclose(click_token, [1, 0, 2])


def test_clicked_tokens_attend_to_each_other():
    """Written out in NumPy: softmax(T T^t / sqrt(c)) T, mean of rows, length 1."""
    rng = np.random.default_rng(3)
    tokens = rng.normal(size=(5, 4)).astype(np.float32)
    clicked_tokens = tokens[[1, 4, 4]].astype(np.float64)
    exponentials = np.exp(clicked_tokens @ clicked_tokens.T / 2.0)
    weights = exponentials / exponentials.sum(1, keepdims=True)
    expected = (weights @ clicked_tokens).mean(0)
    expected /= np.linalg.norm(expected)
    is_clicked = [True, False, True, True]
    click_token = click_token_of(tokens, [1, 0, 4, 4], is_clicked, True)
    np.testing.assert_allclose(click_token, expected, atol=1e-6)
    assert abs(np.linalg.norm(click_token) - 1) < 1e-6


@pytest.mark.parametrize("self_attend_clicks", [True, False])
def test_without_a_click_token_and_scores_are_zero_with_finite_gradient(
    self_attend_clicks,
):
    tokens = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)

    def total(tokens):
        click_token = make_click_token(
            tokens,
            jnp.zeros(2, int),
            jnp.zeros(2, bool),
            self_attend_clicks=self_attend_clicks,
        )
        return score_tokens(tokens, click_token).sum() + click_token.sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(tokens)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((4, 3)))


def test_score_is_the_scaled_cosine_to_the_click_token():
    click_token = jnp.array([2.0, 0.0, 0.0])
    tokens = jnp.array([[5.0, 0, 0], [0, 1, 0], [-3, 0, 0], [1, 1, 0], [0, 0, 0]])
    expected = [1.0, 0.5, 0.0, (1 + 2**-0.5) / 2, 0.5]
    np.testing.assert_allclose(score_tokens(tokens, click_token), expected, atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_scores_do_not_depend_on_lengths(seed, scale):
    rng = np.random.default_rng(seed)
    tokens = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)
    click_token = jnp.asarray(rng.normal(size=3), jnp.float32)
    scores = score_tokens(tokens, click_token)
    assert ((scores >= -1e-6) & (scores <= 1 + 1e-6)).all()
    scale = jnp.float32(scale)
    scaled_scores = score_tokens(tokens * scale, click_token / scale)
    np.testing.assert_allclose(scaled_scores, scores, atol=1e-5)


@pytest.mark.parametrize("self_attend_clicks", [True, False])
def test_bfloat16_tokens_are_raised_to_float32(self_attend_clicks):
    tokens = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.bfloat16)
    clicked_index, is_clicked = jnp.array([0, 2, 3]), jnp.ones(3, bool)
    actual, expected = (
        make_click_token(
            x, clicked_index, is_clicked, self_attend_clicks=self_attend_clicks
        )
        for x in (tokens, tokens.astype(jnp.float32))
    )
    assert actual.dtype == jnp.float32
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(
        score_tokens(tokens, actual), score_tokens(tokens.astype(jnp.float32), actual)
    )
