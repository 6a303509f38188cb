import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens.top_k import TOP_K, gumbel, perturbed

SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = settings(max_examples=15)
KEY = jax.random.key(7)


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


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
