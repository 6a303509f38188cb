"""Differentiable top-k estimators with noise: perturbed top-k and Gumbel top-k."""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mst_jax.tokens.top_k import (
    MAX_DROPPED,
    TopKResult,
    is_selected,
    one_hot_rows,
    top_k_index,
)


def perturbed_top_k(
    scores: Float[Array, " n"],
    *,
    num_selected: int,
    threshold: float | None = None,
    max_dropped: int = MAX_DROPPED,
    key: PRNGKeyArray | None = None,
    num_samples: int = 100,
    sigma: float | Float[Array, ""] = 0.05,
) -> TopKResult:
    """Average the top-k over noisy copies of the scores.

    Row r is the fraction of the samples in which each token has rank r:

        weights[r] = E[Y_r],  Y_r = one-hot row of rank r of (scores + sigma Z)
        d weights[r, i] / d scores[j] = E[Y_ri Z_j] / sigma,  Z standard normal

    Rows sum to 1, columns to the token's probability of being selected. Both means are
    taken over the same samples; no sample is stored. In the gradient,
    <G, Y> - <G, Y of the scores without noise> replaces <G, Y>: the same mean, as E[Z]
    is 0, with less variance.

    Source: Cordonnier et al., Differentiable Patch Selection, arXiv 2104.03059, Eq. 3
    and 4; Berthet et al., Perturbed Optimizers, NeurIPS 2020, Prop. 3.1.
    Departure: the paper sorts the tokens of each sample by position, here they are
    sorted by score: row r then means rank r in every sample, and agrees with `index`
    and `selected`. The equations hold for any function of the noisy scores. The paper's
    listing keeps the terms i = j alone; here all are included.

    Args:
        scores: [n] any real numbers.
        num_selected: Number of rows, m; at most n.
        threshold: See `straight_through_top_k`.
        max_dropped: See `straight_through_top_k`.
        key: Random key of the noise; None adds no noise: one-hot rows, no gradient.
        num_samples: Number of noisy copies.
        sigma: Standard deviation of the noise in the unit of the scores, more than 0.
            May be an array (a schedule); it receives no gradient.

    Returns:
        Weights; index and selected rows by the scores without noise.

    Raises:
        ValueError: `num_selected` is larger than the number of tokens.
    """
    scores = scores.astype(jnp.float32)
    index = top_k_index(scores, num_selected)
    selected = is_selected(scores, index, threshold, max_dropped)
    if key is None:
        return TopKResult(one_hot_rows(index, selected, scores.size), index, selected)
    # The decorator `partial(jax.custom_vjp)` hides the type of the result.
    weights = cast(
        Array, _mean_rank_rows(scores, key, sigma, num_selected, num_samples)
    )
    return TopKResult(jnp.where(selected[:, None], weights, 0.0), index, selected)


def gumbel_top_k(
    scores: Float[Array, " n"],
    *,
    num_selected: int,
    threshold: float | None = None,
    max_dropped: int = MAX_DROPPED,
    key: PRNGKeyArray | None = None,
    sigma: float | Float[Array, ""] = 0.05,
    temperature: float | Float[Array, ""] = 1.0,
    hard: bool = True,
) -> TopKResult:
    """Sample tokens by their scores, with one softmax after the other.

    a_1 = scores / sigma + Gumbel noise;  row r = softmax(a_r / temperature);
    a_(r+1) = a_r + log(1 - row r). Toward temperature 0 the rows become the one-hot
    rows of the top-k of a_1: tokens sampled without replacement, with probabilities
    proportional to exp(scores / sigma).

    Source: Xie and Ermon, Reparameterizable Subset Sampling via Continuous Relaxations,
    IJCAI 2019, Algorithm 1 and Eq. 8; theirs has sigma 1.

    Args:
        scores: [n] any real numbers.
        num_selected: Number of rows, m; at most n.
        threshold: See `straight_through_top_k`.
        max_dropped: See `straight_through_top_k`.
        key: Random key of the noise; None adds no noise.
        sigma: Scale of the noise in the unit of the scores, more than 0.
        temperature: How soft the rows are, more than 0.
        hard: Whether the rows are one-hot, with the gradient of the soft rows (straight
            through).

    Returns:
        Weights; index by the noisy scores, as sampled; selected rows by the scores
        without noise.

    Raises:
        ValueError: `num_selected` is larger than the number of tokens.
    """
    scores = scores.astype(jnp.float32)
    # 1. Noisy logits, and their top-k.
    logits = scores / sigma
    if key is not None:
        logits = logits + jax.random.gumbel(key, scores.shape, scores.dtype)
    index = top_k_index(logits, num_selected)
    selected = is_selected(scores, index, threshold, max_dropped)

    # 2. Soft rows: after each softmax the token that it favors becomes unlikely.
    def sample_row(logits, _):
        soft_row = jax.nn.softmax(logits / temperature)
        remaining_weight = jnp.maximum(1.0 - soft_row, jnp.finfo(jnp.float32).tiny)
        return logits + jnp.log(remaining_weight), soft_row

    _, rows = jax.lax.scan(sample_row, logits, length=num_selected)
    soft_rows = jnp.where(selected[:, None], rows, 0.0)
    if not hard:
        return TopKResult(soft_rows, index, selected)
    # 3. The value of the one-hot rows with the gradient of the soft rows.
    hard_rows = one_hot_rows(index, selected, scores.size)
    weights = hard_rows + (soft_rows - jax.lax.stop_gradient(soft_rows))
    return TopKResult(weights, index, selected)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _mean_rank_rows(
    scores: Float[Array, " n"],
    key: PRNGKeyArray,
    sigma: float | Float[Array, ""],
    num_selected: int,
    num_samples: int,
) -> Float[Array, "m n"]:
    """Return the fraction of the samples in which each token has rank r."""
    row_ranks = jnp.arange(num_selected)

    # A loop that counts: memory does not grow with the number of samples.
    def count_ranks(sample_index, rank_counts):
        index = top_k_index(
            scores + sigma * _sample_noise(key, sample_index, scores), num_selected
        )
        return rank_counts.at[row_ranks, index].add(1.0)

    rank_counts = jnp.zeros((num_selected, scores.size), jnp.float32)
    return jax.lax.fori_loop(0, num_samples, count_ranks, rank_counts) / num_samples


def _mean_rank_rows_forward(scores, key, sigma, num_selected: int, num_samples: int):
    """Return the rows, and what the backward pass needs to repeat the samples."""
    rows = _mean_rank_rows(scores, key, sigma, num_selected, num_samples)
    return rows, (scores, key, sigma)


def _mean_rank_rows_backward(
    num_selected: int, num_samples: int, residuals, rows_gradient
):
    """Return the gradient: the mean of (<G, Y> - <G, Y without noise>) Z / sigma."""
    scores, key, sigma = residuals
    row_ranks = jnp.arange(num_selected)
    # <G, Y> of the scores without noise, subtracted to reduce the variance.
    noiseless_product = rows_gradient[
        row_ranks, top_k_index(scores, num_selected)
    ].sum()

    def add_sample(sample_index, gradient_sum):
        # The same noise as in the forward pass.
        score_noise = _sample_noise(key, sample_index, scores)
        index = top_k_index(scores + sigma * score_noise, num_selected)
        return (
            gradient_sum
            + (rows_gradient[row_ranks, index].sum() - noiseless_product) * score_noise
        )

    gradient_sum = jax.lax.fori_loop(0, num_samples, add_sample, jnp.zeros_like(scores))
    return gradient_sum / (num_samples * sigma), None, None


_mean_rank_rows.defvjp(_mean_rank_rows_forward, _mean_rank_rows_backward)


def _sample_noise(
    key: PRNGKeyArray, sample_index: int | Int[Array, ""], scores: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Return the noise of one sample; computed again for the gradient, never stored."""
    sample_key = jax.random.fold_in(key, sample_index)
    return jax.random.normal(sample_key, scores.shape, scores.dtype)
