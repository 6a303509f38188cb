from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens.top_k import TOP_K, straight_through, take_chosen

SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = settings(max_examples=15)
KEY = jax.random.key(7)


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


@pytest.mark.parametrize("name", TOP_K)
def test_without_noise_the_best_come_first(name):
    weights, index, kept = TOP_K[name](jnp.array([0.2, 0.9, 0.1, 0.7]), num_chosen=3)
    want = [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    np.testing.assert_array_equal(weights, want)
    np.testing.assert_array_equal(index, [1, 3, 0])
    np.testing.assert_array_equal(kept, [True, True, True])


@pytest.mark.parametrize("name", TOP_K)
def test_of_equal_scores_the_first_is_taken_and_scores_of_0_are_dropped(name):
    weights, index, kept = TOP_K[name](jnp.array([0.0, 0.5, 0.5, 0.0]), num_chosen=3)
    np.testing.assert_array_equal(index, [1, 2, 0])
    np.testing.assert_array_equal(kept, [True, True, False])
    np.testing.assert_array_equal(weights, [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("name", TOP_K)
@pytest.mark.parametrize(
    "spare, kept",
    [
        (0, [True, True, True, True]),
        (1, [True, True, True, False]),
        (3, [True, True, False, False]),
        (9, [True, True, False, False]),
    ],
)
def test_as_many_are_kept_as_are_above_the_threshold_or_cannot_be_spared(
    name, spare, kept
):
    scores = jnp.array([0.3, 0.8, 0.65, 0.7, 0.2])
    options = dict(num_chosen=4, threshold=0.65, spare=spare)
    for key in (None, KEY):
        weights, _, got = TOP_K[name](scores, key=key, **options)
        np.testing.assert_array_equal(got, kept)
        np.testing.assert_allclose(weights.sum(1), np.float32(kept), rtol=1e-5)


def test_without_a_click_nothing_is_kept_with_a_threshold_either():
    """The published programs binarise what is selected by > 0 after the threshold."""
    _, _, kept = straight_through(jnp.zeros(20), num_chosen=12, threshold=0.65)
    assert not kept.any()


def test_the_published_rule_of_the_threshold():
    # k = 36: 30 good scores keep 30, five keep 36 - 10 = 26, all good keep 36.
    choose = jax.jit(partial(straight_through, num_chosen=36, threshold=0.65))
    for num_good, num_kept in ((30, 30), (5, 26), (100, 36)):
        scores = jnp.where(jnp.arange(100) < num_good, 0.7, 0.6)
        _, _, kept = choose(scores)
        assert kept.sum() == num_kept and kept[:num_kept].all()


@pytest.mark.parametrize("name", TOP_K)
@pytest.mark.parametrize("key", [None, KEY])
def test_rows_that_are_not_kept_give_no_gradient(name, key):
    def last_row(scores):
        options = dict(num_chosen=3, threshold=0.9, spare=1, key=key)
        return (TOP_K[name](scores, **options)[0][2] * jnp.arange(1.0, 6.0)).sum()

    gradient = jax.grad(last_row)(jnp.array([0.5, 0.4, 0.3, 0.2, 0.1]))
    np.testing.assert_array_equal(gradient, np.zeros(5))


@pytest.mark.parametrize("name", TOP_K)
def test_more_than_there_are_is_refused(name):
    with pytest.raises(ValueError, match="num_chosen is 3, but there are 2 tokens"):
        TOP_K[name](jnp.zeros(2), num_chosen=3)


@pytest.mark.parametrize("name", TOP_K)
def test_batches_under_jit_and_bfloat16_scores(name):
    scores = draw(0, 3, 12)
    keys = jax.random.split(KEY, 3)
    choose = partial(TOP_K[name], num_chosen=4, threshold=0.5, spare=2)

    @jax.jit
    @jax.vmap
    def batch(scores, key):
        weights = choose(scores, key=key)[0]
        slope = jax.grad(lambda s: (choose(s, key=key)[0][0] * scores).sum())(scores)
        return *choose(scores, key=key), weights.sum(1), slope

    whole = batch(scores, keys)
    for i in range(3):
        one = choose(scores[i], key=keys[i])
        for a, b in zip(one, whole, strict=False):
            np.testing.assert_allclose(a, b[i], atol=1e-6)
    weights, index, kept, sums, slope = batch(scores.astype(jnp.bfloat16), keys)
    assert weights.dtype == jnp.float32 and slope.dtype == jnp.bfloat16
    np.testing.assert_allclose(sums, np.float32(kept), atol=1e-5)
    assert np.isfinite(np.float32(slope)).all()
    assert (np.sort(index, axis=1)[:, :-1] != np.sort(index, axis=1)[:, 1:]).all()


# --- straight through


def test_straight_through_gradients_by_hand():
    # Row 0 stands for token 2: its score gets <gradient of the row, token 2>.
    tokens = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    def first_row(scores, tokens):
        weights, _, _ = straight_through(scores, num_chosen=2)
        return (weights @ tokens)[0] @ jnp.array([1.0, 10.0])

    to_scores, to_tokens = jax.grad(first_row, (0, 1))(
        jnp.array([0.1, 0.2, 0.3]), tokens
    )
    np.testing.assert_allclose(to_scores, [0, 0, 65], rtol=1e-6)
    np.testing.assert_allclose(to_tokens, [[0, 0], [0, 0], [1, 10]], rtol=1e-6)


def dense(scores, tokens, choose):
    return jnp.matmul(choose(scores)[0], tokens, precision="highest")


def fast(scores, tokens, choose):
    return take_chosen(tokens, scores, *choose(scores)[1:])


@partial(jax.jit, static_argnums=(0, 4))
def rows_and_slopes(function, scores, tokens, weight, threshold):
    choose = partial(straight_through, num_chosen=5, threshold=threshold, spare=2)

    def loss(scores, tokens):
        rows = function(scores, tokens, choose)
        return (rows * weight).sum(), rows

    slopes, rows = jax.grad(loss, (0, 1), has_aux=True)(scores, tokens)
    return rows, *slopes


@EXAMPLES
@given(SEEDS, st.sampled_from([None, 0.5]))
def test_taking_rows_equals_the_dense_product(seed, threshold):
    scores, tokens, weight = draw(seed, 12), draw(seed + 1, 12, 3), draw(seed + 2, 5, 3)
    scores = scores.at[3:12].set(0.0)  # some of the chosen have a score of 0
    want = rows_and_slopes(dense, scores, tokens, weight, threshold)
    got = rows_and_slopes(fast, scores, tokens, weight, threshold)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_rows_are_taken_in_the_type_of_the_tokens_and_exactly():
    tokens = draw(1, 6, 2).astype(jnp.bfloat16)
    scores = draw(2, 6)
    _, index, kept = straight_through(scores, num_chosen=3)
    rows = take_chosen(tokens, scores, index, kept)
    assert rows.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        rows.astype(jnp.float32), tokens[index].astype(jnp.float32)
    )
