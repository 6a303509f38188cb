"""Three ways to choose the best tokens so that the choice can be learned.

Each is a function of one example's scores (`vmap` makes the batch) and returns the same
three arrays, so that they can be exchanged:

- weights [m n] float32: the chosen tokens are `weights @ tokens`, best first; rows that
  are not kept are 0 and get no gradient;
- index [m]: the token that each row stands for;
- kept [m] bool: a row is kept if its token's score is not exactly 0 (which means: not
  scored) and, where a `threshold` is given, if it is among the first
  max(num_chosen - spare, number of scores above the threshold).

Sizes are static; scores of any float type are raised to float32. Needs nothing but jax.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Choice = tuple[Float[Array, "m n"], Int[Array, " m"], Bool[Array, " m"]]


def straight_through(
    scores: Float[Array, " n"],
    *,
    num_chosen: int,
    threshold: float | None = None,
    spare: int = 10,
    key: PRNGKeyArray | None = None,
) -> Choice:
    """Chooses the best tokens; gradients pass the choice as if it were a product.

    With H the one-hot rows of the kept tokens: S = H + score H - stop_gradient(score H).
    The value is H; a token's gradient comes through H, a score's through score H.

    Source: Xu et al., MST, arXiv 2401.04403, as released.
    Departure: the paper has `perturbed`; the released weights were trained with this.

    Args:
        scores: [n] any real.
        num_chosen: m, at most n.
        threshold: scores above it are always kept; None keeps all.
        spare: how many of the chosen may be dropped for a low score.
        key: not used; there is no noise.

    Returns:
        Weights, index (equal scores: lower index first) and kept, see above.

    Raises:
        ValueError: `num_chosen` is more than there are tokens.
    """
    scores = scores.astype(jnp.float32)
    index = _best(scores, num_chosen)
    kept = _kept(scores, index, threshold, spare)
    hard = _one_hot(index, kept, scores.size)
    scaled = scores[None] * hard
    return hard + (scaled - jax.lax.stop_gradient(scaled)), index, kept


def take_chosen(
    tokens: Float[Array, "n c"],
    scores: Float[Array, " n"],
    index: Int[Array, " m"],
    kept: Bool[Array, " m"],
) -> Float[Array, "m c"]:
    """Computes `weights @ tokens` of `straight_through` without the weights.

    Same value and same gradients, to tokens and scores, from m rows instead of m n
    products.

    Args:
        tokens: [n c].
        scores: [n] that were chosen by.
        index: [m] of `straight_through`.
        kept: [m] of `straight_through`.

    Returns:
        [m c] in the type of the tokens; 0 where not kept.
    """
    chosen = scores[index].astype(jnp.float32)
    gain = 1.0 + (chosen - jax.lax.stop_gradient(chosen))
    rows = tokens[index] * gain.astype(tokens.dtype)[:, None]
    return jnp.where(kept[:, None], rows, jnp.zeros_like(rows))


def perturbed(
    scores: Float[Array, " n"],
    *,
    num_chosen: int,
    threshold: float | None = None,
    spare: int = 10,
    key: PRNGKeyArray | None = None,
    num_samples: int = 100,
    sigma: float | Float[Array, ""] = 0.05,
) -> Choice:
    """Mixes the tokens that would be chosen if the scores were a little different.

    Row r is the share of the draws in which each token is the r-th best:

        weights[r] = E[Y_r],  Y_r = one-hot of the r-th best of (scores + sigma Z)
        d weights[r, i] / d scores[j] = E[Y_ri Z_j] / sigma,  Z standard normal

    Rows sum to 1, columns to the token's chance of being chosen. Both means are taken over
    the same draws; no draw is stored. To the gradient, <G, Y> - <G, Y of the clean scores>
    replaces <G, Y>: the same mean, as E[Z] is 0, and less variance.

    Source: Cordonnier et al., Differentiable Patch Selection, arXiv 2104.03059, Eq. 3 and
    4; Berthet et al., Perturbed Optimizers, NeurIPS 2020, Prop. 3.1.
    Departure: the paper sorts each draw's tokens by place, here they are sorted by score:
    row r then means rank r in every draw, and fits index and kept. The equations hold for
    any function of the noisy scores. The paper's listing keeps the terms i = j alone; all
    are in here.

    Args:
        scores: [n] any real.
        num_chosen: m, at most n.
        threshold: see `straight_through`.
        spare: see `straight_through`.
        key: of the noise; None: no noise, one-hot rows, and no gradient.
        num_samples: draws.
        sigma: deviation of the noise in the unit of the scores, more than 0; may be an
            array (a schedule), no gradient flows to it.

    Returns:
        Weights; index and kept by the clean scores.

    Raises:
        ValueError: `num_chosen` is more than there are tokens.
    """
    scores = scores.astype(jnp.float32)
    index = _best(scores, num_chosen)
    kept = _kept(scores, index, threshold, spare)
    if key is None:
        return _one_hot(index, kept, scores.size), index, kept
    weights = _mean_ranks(scores, key, sigma, num_chosen, num_samples)
    return jnp.where(kept[:, None], weights, 0.0), index, kept


def gumbel(
    scores: Float[Array, " n"],
    *,
    num_chosen: int,
    threshold: float | None = None,
    spare: int = 10,
    key: PRNGKeyArray | None = None,
    sigma: float | Float[Array, ""] = 0.05,
    temperature: float | Float[Array, ""] = 1.0,
    hard: bool = True,
) -> Choice:
    """Draws tokens by their scores, one softmax after the other.

    a_1 = scores / sigma + Gumbel noise;  row r = softmax(a_r / temperature);
    a_(r+1) = a_r + log(1 - row r). Towards temperature 0 the rows become the one-hot rows
    of the best of a_1: tokens drawn without replacement, with chances like
    exp(scores / sigma).

    Source: Xie and Ermon, Reparameterizable Subset Sampling via Continuous Relaxations,
    IJCAI 2019, Algorithm 1 and Eq. 8; sigma 1 is theirs.

    Args:
        scores: [n] any real.
        num_chosen: m, at most n.
        threshold: see `straight_through`.
        spare: see `straight_through`.
        key: of the noise; None: no noise.
        sigma: size of the noise in the unit of the scores, more than 0.
        temperature: more than 0; how soft the rows are.
        hard: one-hot rows, with the gradient of the soft ones (straight through).

    Returns:
        Weights; index by the noisy scores, as drawn; kept by the clean scores.

    Raises:
        ValueError: `num_chosen` is more than there are tokens.
    """
    scores = scores.astype(jnp.float32)
    logits = scores / sigma
    if key is not None:
        logits = logits + jax.random.gumbel(key, scores.shape, scores.dtype)
    index = _best(logits, num_chosen)
    kept = _kept(scores, index, threshold, spare)

    def draw_one(logits, _):
        row = jax.nn.softmax(logits / temperature)
        rest = jnp.maximum(1.0 - row, jnp.finfo(jnp.float32).tiny)
        return logits + jnp.log(rest), row

    _, rows = jax.lax.scan(draw_one, logits, length=num_chosen)
    soft = jnp.where(kept[:, None], rows, 0.0)
    if not hard:
        return soft, index, kept
    rows = _one_hot(index, kept, scores.size)
    return rows + (soft - jax.lax.stop_gradient(soft)), index, kept


TOP_K = {
    "straight_through": straight_through,
    "perturbed": perturbed,
    "gumbel": gumbel,
}


def _best(scores: Float[Array, " n"], num_chosen: int) -> Int[Array, " m"]:
    """Numbers of the best scores, best first; among equals the lower number."""
    if num_chosen > scores.size:
        raise ValueError(
            f"num_chosen is {num_chosen}, but there are {scores.size} tokens; "
            "choose fewer or take a larger picture"
        )
    return jax.lax.top_k(jax.lax.stop_gradient(scores), num_chosen)[1]


def _kept(
    scores: Float[Array, " n"],
    index: Int[Array, " m"],
    threshold: float | None,
    spare: int,
) -> Bool[Array, " m"]:
    """Which of the chosen are used; see the head of the file."""
    kept = scores[index] != 0
    if threshold is None:
        return kept
    num_kept = jnp.maximum(index.size - spare, (scores > threshold).sum())
    return kept & (jnp.arange(index.size) < num_kept)


def _one_hot(
    index: Int[Array, " m"], kept: Bool[Array, " m"], num_tokens: int
) -> Float[Array, "m n"]:
    """Rows with a 1 at the index; 0 where not kept."""
    return jax.nn.one_hot(jnp.where(kept, index, -1), num_tokens, dtype=jnp.float32)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _mean_ranks(scores, key, sigma, num_chosen: int, num_samples: int):
    """[m n] share of the draws in which each token is the r-th best."""
    ranks = jnp.arange(num_chosen)

    def count(i, total):
        best = _best(scores + sigma * _noise(key, i, scores), num_chosen)
        return total.at[ranks, best].add(1.0)

    total = jnp.zeros((num_chosen, scores.size), jnp.float32)
    return jax.lax.fori_loop(0, num_samples, count, total) / num_samples


def _mean_ranks_forward(scores, key, sigma, num_chosen: int, num_samples: int):
    value = _mean_ranks(scores, key, sigma, num_chosen, num_samples)
    return value, (scores, key, sigma)


def _mean_ranks_backward(num_chosen: int, num_samples: int, kept, gradient):
    scores, key, sigma = kept
    ranks = jnp.arange(num_chosen)
    clean = gradient[ranks, _best(scores, num_chosen)].sum()

    def add(i, total):
        noise = _noise(key, i, scores)
        best = _best(scores + sigma * noise, num_chosen)
        return total + (gradient[ranks, best].sum() - clean) * noise

    total = jax.lax.fori_loop(0, num_samples, add, jnp.zeros_like(scores))
    return total / (num_samples * sigma), None, None


_mean_ranks.defvjp(_mean_ranks_forward, _mean_ranks_backward)


def _noise(key, i, scores: Float[Array, " n"]) -> Float[Array, " n"]:
    """The noise of draw i; made again, rather than stored, for the gradient."""
    return jax.random.normal(jax.random.fold_in(key, i), scores.shape, scores.dtype)
