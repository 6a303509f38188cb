import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens.topk import TOP_K, gumbel, perturbed, straight_through, take_chosen

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


NOISY = {
    name: jax.jit(partial(function, num_chosen=3, sigma=0.3))
    for name, function in TOP_K.items()
    if name != "straight_through"
}


@EXAMPLES
@given(SEEDS)
def test_noise_leaves_rows_that_sum_to_1_and_columns_of_chances(seed):
    scores, key = draw(seed, 8), jax.random.key(seed)
    weights, index, _ = NOISY["perturbed"](scores, key=key)
    np.testing.assert_allclose(weights.sum(1), np.ones(3), rtol=1e-6)
    assert (weights.sum(0) <= 1 + 1e-6).all()
    np.testing.assert_array_equal(index, np.argsort(-scores)[:3])
    weights, index, _ = NOISY["gumbel"](scores, key=key)
    np.testing.assert_array_equal(weights, np.eye(8)[index])
    assert len(set(index.tolist())) == 3


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


# --- perturbed

SIGMA, APART = 0.5, 0.3
# Two tokens, one chosen: the first wins where sigma (Z_1 - Z_0) < scores_0 - scores_1, and
# that difference has the deviation sigma sqrt 2.
WIDTH = SIGMA * math.sqrt(2)
CHANCE = 0.5 * (1 + math.erf(APART / WIDTH / math.sqrt(2)))
DENSITY = math.exp(-0.5 * (APART / WIDTH) ** 2) / (WIDTH * math.sqrt(2 * math.pi))


@partial(jax.jit, static_argnums=1)
def chance_and_slope(key, num_samples):
    def chance(scores):
        options = dict(num_chosen=1, num_samples=num_samples, sigma=SIGMA)
        return perturbed(scores, key=key, **options)[0][0, 0]

    return jax.value_and_grad(chance)(jnp.array([1.0 + APART, 1.0]))


def test_perturbed_chance_and_slope_are_the_analytic_ones():
    value, slope = chance_and_slope(KEY, 200_000)
    np.testing.assert_allclose(value, CHANCE, atol=4e-3)
    # The second number is a cross term: what raises one chance lowers the other.
    np.testing.assert_allclose(slope, [DENSITY, -DENSITY], atol=1e-2)


def test_perturbed_slopes_scatter_less_with_more_samples():
    keys = jax.random.split(KEY, 400)
    few, many = (
        jax.vmap(lambda key, n=n: chance_and_slope(key, n))(keys)[1][:, 0]
        for n in (10, 160)
    )
    # Means over 16 times as many draws: a sixteenth of the variance; neither is biased.
    assert 10 < few.var() / many.var() < 24
    np.testing.assert_allclose(few.mean(), DENSITY, atol=4 * few.std() / 20)
    np.testing.assert_allclose(many.mean(), DENSITY, atol=4 * many.std() / 20)


def test_perturbed_is_the_mean_over_the_draws_and_so_is_its_whole_jacobian():
    scores, n, m, num_samples, sigma = draw(3, 5), 5, 3, 6, 0.4
    noise = np.stack(
        [
            jax.random.normal(jax.random.fold_in(KEY, i), (n,))
            for i in range(num_samples)
        ]
    )
    order = np.argsort(-(np.asarray(scores) + sigma * noise), axis=1)[:, :m]
    indicators = np.eye(n)[order]  # [samples m n]
    clean = np.eye(n)[np.argsort(-np.asarray(scores))[:m]]
    jacobian = np.einsum("smi,sj->mij", indicators - clean, noise)

    def weights(scores):
        options = dict(num_chosen=m, num_samples=num_samples, sigma=sigma)
        return perturbed(scores, key=KEY, **options)[0]

    np.testing.assert_allclose(weights(scores), indicators.mean(0), rtol=1e-6)
    np.testing.assert_allclose(
        jax.jacrev(weights)(scores), jacobian / (num_samples * sigma), atol=1e-5
    )


def test_perturbed_memory_does_not_grow_with_the_number_of_samples():
    def memory(num_samples):
        def loss(scores, tokens, key, sigma):
            options = dict(num_chosen=16, num_samples=num_samples, sigma=sigma)
            return jnp.square(perturbed(scores, key=key, **options)[0] @ tokens).sum()

        args = (jnp.zeros(256), jnp.zeros((256, 4)), KEY, jnp.float32(0.1))
        compiled = jax.jit(jax.grad(loss)).lower(*args).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(1000) == memory(10)
    assert memory(1000) < 8 * 16 * 256 * 4


# --- gumbel


def test_gumbel_without_noise_by_hand():
    # Chances 1/2, 1/3, 1/6; the second softmax has weights p (1 - p).
    p = np.array([3, 2, 1]) / 6
    weights, _, _ = gumbel(
        jnp.log(jnp.array([3.0, 2.0, 1.0])) + 1, num_chosen=2, sigma=1.0, hard=False
    )
    second = p * (1 - p)
    np.testing.assert_allclose(weights, [p, second / second.sum()], rtol=1e-5)


def test_gumbel_draws_with_the_chances_of_the_scores():
    keys = jax.random.split(KEY, 4000)
    scores = 2.0 + 0.1 * jnp.log(jnp.array([6.0, 3.0, 1.0]))
    draw_two = jax.jit(
        jax.vmap(lambda key: gumbel(scores, num_chosen=2, sigma=0.1, key=key)[0])
    )
    first, second = draw_two(keys).mean(0)
    np.testing.assert_allclose(first, [0.6, 0.3, 0.1], atol=0.03)
    # Without replacement: token 0 comes second after 1 (0.3 * 6/7) or after 2 (0.1 * 6/9).
    np.testing.assert_allclose(second[0], 0.3 * 6 / 7 + 0.1 * 6 / 9, atol=0.03)


@jax.jit
def soft_and_slopes(scores, key, temperature):
    def choose(scores):
        options = dict(num_chosen=3, sigma=0.3, hard=False, temperature=temperature)
        return gumbel(scores, key=key, **options)[0]

    return choose(scores), jax.jacrev(choose)(scores)


@EXAMPLES
@given(SEEDS)
def test_gumbel_tends_to_the_hard_choice_as_it_cools(seed):
    scores, key = draw(seed, 8), jax.random.key(seed)
    hard = NOISY["gumbel"](scores, key=key)[0]
    warm, cold = (soft_and_slopes(scores, key, t) for t in (1.0, 1e-5))
    assert abs(cold[0] - hard).max() < 1e-2 < abs(warm[0] - hard).max()
    assert np.isfinite(warm[1]).all() and np.isfinite(cold[1]).all()


def test_gumbel_hard_has_the_gradient_of_the_soft_one():
    scores = draw(5, 6)
    hard, soft = (
        jax.jacrev(lambda s, hard=hard: gumbel(s, num_chosen=3, key=KEY, hard=hard)[0])(
            scores
        )
        for hard in (True, False)
    )
    np.testing.assert_array_equal(hard, soft)
    assert abs(soft).max() > 0.1
