from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens import top_k
from mst_jax.tokens.selection import TOP_K_ESTIMATORS
from mst_jax.tokens.top_k import gather_selected, straight_through_top_k

RANDOM_SEEDS = st.integers(0, 2**32 - 1)
FEW_EXAMPLES = settings(max_examples=15)
NOISE_KEY = jax.random.key(7)


def random_array(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


@pytest.mark.parametrize("name", TOP_K_ESTIMATORS)
def test_without_noise_highest_scores_come_first(name):
    scores = jnp.array([0.2, 0.9, 0.1, 0.7])
    weights, index, selected = TOP_K_ESTIMATORS[name](scores, num_selected=3)
    expected = [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(index, [1, 3, 0])
    np.testing.assert_array_equal(selected, [True, True, True])


@pytest.mark.parametrize("name", TOP_K_ESTIMATORS)
def test_equal_scores_keep_their_order_and_scores_of_zero_are_dropped(name):
    scores = jnp.array([0.0, 0.5, 0.5, 0.0])
    weights, index, selected = TOP_K_ESTIMATORS[name](scores, num_selected=3)
    np.testing.assert_array_equal(index, [1, 2, 0])
    np.testing.assert_array_equal(selected, [True, True, False])
    np.testing.assert_array_equal(weights, [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("name", TOP_K_ESTIMATORS)
@pytest.mark.parametrize(
    "max_dropped, expected",
    [
        (0, [True, True, True, True]),
        (1, [True, True, True, False]),
        (3, [True, True, False, False]),
        (9, [True, True, False, False]),
    ],
)
def test_scores_above_threshold_and_the_minimum_number_are_selected(
    name, max_dropped, expected
):
    scores = jnp.array([0.3, 0.8, 0.65, 0.7, 0.2])
    options = dict(num_selected=4, threshold=0.65, max_dropped=max_dropped)
    for key in (None, NOISE_KEY):
        weights, _, selected = TOP_K_ESTIMATORS[name](scores, key=key, **options)
        np.testing.assert_array_equal(selected, expected)
        np.testing.assert_allclose(weights.sum(1), np.float32(expected), rtol=1e-5)


def test_without_a_click_nothing_is_selected_with_a_threshold_either():
    """The published programs binarize what is selected by > 0 after the threshold."""
    _, _, selected = straight_through_top_k(
        jnp.zeros(20), num_selected=12, threshold=0.65
    )
    assert not selected.any()


def test_published_rule_of_the_threshold():
    # k = 36: 30 high scores select 30, five select 36 - 10 = 26, 100 select 36.
    estimator = jax.jit(
        partial(straight_through_top_k, num_selected=36, threshold=0.65)
    )
    for num_high, num_expected in ((30, 30), (5, 26), (100, 36)):
        scores = jnp.where(jnp.arange(100) < num_high, 0.7, 0.6)
        _, _, selected = estimator(scores)
        assert selected.sum() == num_expected and selected[:num_expected].all()


@pytest.mark.parametrize("name", TOP_K_ESTIMATORS)
@pytest.mark.parametrize("key", [None, NOISE_KEY])
def test_rows_that_are_not_selected_have_no_gradient(name, key):
    def last_row(scores):
        options = dict(num_selected=3, threshold=0.9, max_dropped=1, key=key)
        weights = TOP_K_ESTIMATORS[name](scores, **options).weights
        return (weights[2] * jnp.arange(1.0, 6.0)).sum()

    gradient = jax.jit(jax.grad(last_row))(np.float32([0.5, 0.4, 0.3, 0.2, 0.1]))
    np.testing.assert_array_equal(gradient, np.zeros(5))


@pytest.mark.parametrize("name", TOP_K_ESTIMATORS)
def test_selecting_more_than_there_are_raises(name):
    with pytest.raises(ValueError, match="num_selected is 3, but there are 2 tokens"):
        TOP_K_ESTIMATORS[name](jnp.zeros(2), num_selected=3)


@pytest.mark.parametrize("name", TOP_K_ESTIMATORS)
def test_batches_under_jit_and_bfloat16_scores(name):
    scores = random_array(0, 3, 12)
    keys = jax.random.split(NOISE_KEY, 3)
    estimator = partial(
        TOP_K_ESTIMATORS[name], num_selected=4, threshold=0.5, max_dropped=2
    )

    @jax.jit
    @jax.vmap
    def estimate_batch(scores, key):
        weights = estimator(scores, key=key).weights

        def first_product(s):
            return (estimator(s, key=key).weights[0] * scores).sum()

        slope = jax.grad(first_product)(scores)
        return *estimator(scores, key=key), weights.sum(1), slope

    batch_results = estimate_batch(scores, keys)
    estimate = jax.jit(estimator)
    for i in range(3):
        example_results = estimate(scores[i], key=keys[i])
        for a, b in zip(example_results, batch_results, strict=False):
            np.testing.assert_allclose(a, b[i], atol=1e-6)
    weights, index, selected, sums, slope = estimate_batch(
        scores.astype(jnp.bfloat16), keys
    )
    assert weights.dtype == jnp.float32 and slope.dtype == jnp.bfloat16
    np.testing.assert_allclose(sums, np.float32(selected), atol=1e-5)
    assert np.isfinite(np.float32(slope)).all()
    sorted_index = np.sort(index, axis=1)
    assert (sorted_index[:, :-1] != sorted_index[:, 1:]).all()


# --- straight through


def test_straight_through_gradients_by_hand():
    # Row 0 stands for token 2: its score gets <gradient of the row, token 2>.
    tokens = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    def first_row(scores, tokens):
        weights, _, _ = straight_through_top_k(scores, num_selected=2)
        return (weights @ tokens)[0] @ jnp.array([1.0, 10.0])

    score_gradient, token_gradient = jax.grad(first_row, (0, 1))(
        jnp.array([0.1, 0.2, 0.3]), tokens
    )
    np.testing.assert_allclose(score_gradient, [0, 0, 65], rtol=1e-6)
    np.testing.assert_allclose(token_gradient, [[0, 0], [0, 0], [1, 10]], rtol=1e-6)


def dense_product(scores, tokens, estimator):
    return jnp.matmul(estimator(scores).weights, tokens, precision="highest")


def gathered_rows(scores, tokens, estimator):
    _, index, selected = estimator(scores)
    return gather_selected(tokens, scores, index, selected)


@partial(jax.jit, static_argnums=(0, 4))
def rows_and_gradients(select_rows, scores, tokens, cotangent, threshold):
    estimator = partial(
        straight_through_top_k, num_selected=5, threshold=threshold, max_dropped=2
    )

    def loss(scores, tokens):
        rows = select_rows(scores, tokens, estimator)
        return (rows * cotangent).sum(), rows

    gradients, rows = jax.grad(loss, (0, 1), has_aux=True)(scores, tokens)
    return rows, *gradients


@FEW_EXAMPLES
@given(RANDOM_SEEDS, st.sampled_from([None, 0.5]))
def test_gathered_rows_equal_the_dense_product(seed, threshold):
    scores, tokens = random_array(seed, 12), random_array(seed + 1, 12, 3)
    cotangent = random_array(seed + 2, 5, 3)
    scores = scores.at[3:12].set(0.0)  # some of the selected have a score of 0
    expected = rows_and_gradients(dense_product, scores, tokens, cotangent, threshold)
    actual = rows_and_gradients(gathered_rows, scores, tokens, cotangent, threshold)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gathered_rows_have_the_dtype_and_values_of_the_tokens():
    tokens = random_array(1, 6, 2).astype(jnp.bfloat16)
    scores = random_array(2, 6)
    _, index, selected = straight_through_top_k(scores, num_selected=3)
    rows = gather_selected(tokens, scores, index, selected)
    assert rows.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        rows.astype(jnp.float32), tokens[index].astype(jnp.float32)
    )


SOME_SCORES = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 0.5, -0.5, 1e-30, -1e-30, np.inf, -np.inf])
    | st.floats(-1, 1, width=32, allow_subnormal=False),
    min_size=12,
    max_size=12,
)


@partial(jax.jit, static_argnames="num_selected")
def count_and_sort(scores, num_selected):
    counted = top_k._top_k_by_counting(scores, num_selected=num_selected)
    return counted, jax.lax.top_k(scores, num_selected)[1]


# Few sizes, since each is compiled.
@given(SOME_SCORES, st.sampled_from([(1, 1), (2, 1), (5, 5), (8, 3), (12, 11)]))
def test_counting_finds_the_indices_that_sorting_finds(scores, sizes):
    num_tokens, num_selected = sizes
    scores = np.asarray(scores[:num_tokens], np.float32)
    np.testing.assert_array_equal(*count_and_sort(scores, num_selected))


def test_programs_for_tpus_do_not_sort():
    select = jax.jit(partial(top_k.top_k_index, num_selected=2)).trace(jnp.ones(4))
    text = {
        platform: select.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("tpu", "cuda")
    }
    assert "chlo.top_k" in text["cuda"]
    assert "chlo.top_k" not in text["tpu"] and "sort" not in text["tpu"]
