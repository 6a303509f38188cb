import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.tokens.noisy_top_k import gumbel_top_k, perturbed_top_k

RANDOM_SEEDS = st.integers(0, 2**32 - 1)
FEW_EXAMPLES = settings(max_examples=15)
NOISE_KEY = jax.random.key(7)


def random_scores(seed, num_tokens):
    return jnp.asarray(np.random.default_rng(seed).random(num_tokens), jnp.float32)


PERTURBED_TOP_3 = jax.jit(partial(perturbed_top_k, num_selected=3, sigma=0.3))
GUMBEL_TOP_3 = jax.jit(partial(gumbel_top_k, num_selected=3, sigma=0.3))


@FEW_EXAMPLES
@given(RANDOM_SEEDS)
def test_noisy_rows_sum_to_one_and_columns_are_probabilities(seed):
    scores, key = random_scores(seed, 8), jax.random.key(seed)
    weights, index, _ = PERTURBED_TOP_3(scores, key=key)
    np.testing.assert_allclose(weights.sum(1), np.ones(3), rtol=1e-6)
    assert (weights.sum(0) <= 1 + 1e-6).all()
    np.testing.assert_array_equal(index, np.argsort(-scores)[:3])
    weights, index, _ = GUMBEL_TOP_3(scores, key=key)
    np.testing.assert_array_equal(weights, np.eye(8)[index])
    assert len(set(index.tolist())) == 3


# --- perturbed top-k

SIGMA, SCORE_DIFFERENCE = 0.5, 0.3
# Two tokens, one selected: the first wins where sigma (Z_1 - Z_0) < scores_0 -
# scores_1. That difference has the standard deviation sigma sqrt 2.
DEVIATION = SIGMA * math.sqrt(2)
Z_SCORE = SCORE_DIFFERENCE / DEVIATION
PROBABILITY = 0.5 * (1 + math.erf(Z_SCORE / math.sqrt(2)))
DENSITY = math.exp(-0.5 * Z_SCORE**2) / (DEVIATION * math.sqrt(2 * math.pi))


@partial(jax.jit, static_argnums=1)
def probability_and_gradient(key, num_samples):
    """Estimated probability that the first of two tokens is selected, and gradient."""

    def probability(scores):
        options = dict(num_selected=1, num_samples=num_samples, sigma=SIGMA)
        return perturbed_top_k(scores, key=key, **options).weights[0, 0]

    return jax.value_and_grad(probability)(jnp.array([1.0 + SCORE_DIFFERENCE, 1.0]))


def test_perturbed_probability_and_gradient_are_the_analytic_ones():
    value, gradient = probability_and_gradient(NOISE_KEY, 200_000)
    np.testing.assert_allclose(value, PROBABILITY, atol=4e-3)
    # The second number is a cross term: what raises one probability lowers the other.
    np.testing.assert_allclose(gradient, [DENSITY, -DENSITY], atol=1e-2)


def test_perturbed_gradients_vary_less_with_more_samples():
    keys = jax.random.split(NOISE_KEY, 400)
    few, many = (
        jax.vmap(lambda key, n=n: probability_and_gradient(key, n))(keys)[1][:, 0]
        for n in (10, 160)
    )
    # Means over 16 times as many samples: a sixteenth of the variance; both unbiased.
    assert 10 < few.var() / many.var() < 24
    np.testing.assert_allclose(few.mean(), DENSITY, atol=4 * few.std() / 20)
    np.testing.assert_allclose(many.mean(), DENSITY, atol=4 * many.std() / 20)


def test_perturbed_weights_and_jacobian_are_means_over_the_samples():
    scores, n, m, num_samples, sigma = random_scores(3, 5), 5, 3, 6, 0.4
    noise = np.stack(
        [
            jax.random.normal(jax.random.fold_in(NOISE_KEY, i), (n,))
            for i in range(num_samples)
        ]
    )
    ranking = np.argsort(-(np.asarray(scores) + sigma * noise), axis=1)[:, :m]
    indicators = np.eye(n)[ranking]  # [samples m n]
    noiseless = np.eye(n)[np.argsort(-np.asarray(scores))[:m]]
    jacobian = np.einsum("smi,sj->mij", indicators - noiseless, noise)

    def weights_of(scores):
        options = dict(num_selected=m, num_samples=num_samples, sigma=sigma)
        return perturbed_top_k(scores, key=NOISE_KEY, **options).weights

    np.testing.assert_allclose(weights_of(scores), indicators.mean(0), rtol=1e-6)
    np.testing.assert_allclose(
        jax.jacrev(weights_of)(scores), jacobian / (num_samples * sigma), atol=1e-5
    )


def test_perturbed_memory_does_not_grow_with_the_number_of_samples():
    def temporary_bytes(num_samples):
        def loss(scores, tokens, key, sigma):
            options = dict(num_selected=16, num_samples=num_samples, sigma=sigma)
            weights = perturbed_top_k(scores, key=key, **options).weights
            return jnp.square(weights @ tokens).sum()

        inputs = (jnp.zeros(256), jnp.zeros((256, 4)), NOISE_KEY, jnp.float32(0.1))
        program = jax.jit(jax.grad(loss)).lower(*inputs).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(1000) == temporary_bytes(10)
    assert temporary_bytes(1000) < 8 * 16 * 256 * 4


# --- Gumbel top-k


def test_gumbel_without_noise_by_hand():
    # Probabilities 1/2, 1/3, 1/6; the second softmax has weights p (1 - p).
    p = np.array([3, 2, 1]) / 6
    scores = jnp.log(jnp.array([3.0, 2.0, 1.0])) + 1
    weights, _, _ = gumbel_top_k(scores, num_selected=2, sigma=1.0, hard=False)
    second_row = p * (1 - p)
    np.testing.assert_allclose(weights, [p, second_row / second_row.sum()], rtol=1e-5)


def test_gumbel_samples_with_the_probabilities_of_the_scores():
    keys = jax.random.split(NOISE_KEY, 4000)
    scores = 2.0 + 0.1 * jnp.log(jnp.array([6.0, 3.0, 1.0]))

    @jax.jit
    @jax.vmap
    def sample_two(key):
        return gumbel_top_k(scores, num_selected=2, sigma=0.1, key=key).weights

    first, second = sample_two(keys).mean(0)
    np.testing.assert_allclose(first, [0.6, 0.3, 0.1], atol=0.03)
    # Without replacement: token 0 comes second after 1 (0.3 * 6/7) or after 2 (0.1 *
    # 6/9).
    np.testing.assert_allclose(second[0], 0.3 * 6 / 7 + 0.1 * 6 / 9, atol=0.03)


@jax.jit
def soft_weights_and_jacobian(scores, key, temperature):
    def weights_of(scores):
        options = dict(num_selected=3, sigma=0.3, hard=False, temperature=temperature)
        return gumbel_top_k(scores, key=key, **options).weights

    return weights_of(scores), jax.jacrev(weights_of)(scores)


@FEW_EXAMPLES
@given(RANDOM_SEEDS)
def test_gumbel_tends_to_the_hard_selection_at_low_temperature(seed):
    scores, key = random_scores(seed, 8), jax.random.key(seed)
    hard_weights = GUMBEL_TOP_3(scores, key=key).weights
    warm, cold = (soft_weights_and_jacobian(scores, key, t) for t in (1.0, 1e-5))
    assert abs(cold[0] - hard_weights).max() < 1e-2
    assert abs(warm[0] - hard_weights).max() > 1e-2
    assert np.isfinite(warm[1]).all() and np.isfinite(cold[1]).all()


def test_gumbel_hard_rows_have_the_gradient_of_the_soft_rows():
    scores = random_scores(5, 6)

    def weights_of(scores, hard):
        return gumbel_top_k(scores, num_selected=3, key=NOISE_KEY, hard=hard).weights

    hard_jacobian, soft_jacobian = (
        jax.jacrev(partial(weights_of, hard=hard))(scores) for hard in (True, False)
    )
    np.testing.assert_array_equal(hard_jacobian, soft_jacobian)
    assert abs(soft_jacobian).max() > 0.1
