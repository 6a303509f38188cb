"""Differentiable top-k: the common interface and the straight-through estimator.

Every estimator is a function of the scores of one example (`vmap` makes the batch) and
returns a `TopKResult`, so that estimators can be exchanged. Shapes are static. Scores
of any float dtype are raised to float32. `noisy_top_k.py` has the estimators with
noise.
"""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mst_jax.layers.remat import name_saved_result

# How many of the selected tokens a threshold may drop, in every release of MST.
MAX_DROPPED = 10


class TopKResult(NamedTuple):
    """The selected tokens of one example as a matrix product.

    Attributes:
        weights: [m n] float32 matrix; the selected tokens are `weights @ tokens`,
            highest score first. Rows that are not selected are 0 and have no gradient.
        index: [m] index of the token that each row stands for.
        selected: [m] True if the row is used: the score of its token is not exactly 0
            (which means "not scored") and, with a threshold, the row is among the first
            max(num_selected - max_dropped, number of scores above the threshold).
    """

    weights: Float[Array, "m n"]
    index: Int[Array, " m"]
    selected: Bool[Array, " m"]


class TopKEstimator(Protocol):
    """Signature that all top-k estimators share."""

    def __call__(
        self,
        scores: Float[Array, " n"],
        *,
        num_selected: int,
        threshold: float | None = None,
        max_dropped: int = MAX_DROPPED,
        key: PRNGKeyArray | None = None,
    ) -> TopKResult:
        """Select the tokens with the highest scores of one example."""
        ...


def straight_through_top_k(
    scores: Float[Array, " n"],
    *,
    num_selected: int,
    threshold: float | None = None,
    max_dropped: int = MAX_DROPPED,
    key: PRNGKeyArray | None = None,
) -> TopKResult:
    """Select the tokens with the highest scores, with a straight-through gradient.

    Let H be the one-hot rows of the selected tokens and H_s = H diag(scores). The weights
    are S = H + H_s - stop_gradient(H_s): in the forward pass S equals H; in the backward
    pass H carries the gradient of the tokens and H_s that of the scores.

    Source: Xu et al., MST, arXiv 2401.04403, as released.
    Departure: the paper has `perturbed_top_k`; the released weights were trained with
    this estimator.

    Args:
        scores: [n] scores; exactly 0 means "not scored".
        num_selected: Number of rows, m; at most n.
        threshold: Scores above it are never dropped; None drops only scores of 0.
        max_dropped: How many of the selected tokens may be dropped for a low score.
        key: Unused, because this estimator adds no noise.

    Returns:
        Weights, index (equal scores: lower index first) and selected rows.

    Raises:
        ValueError: `num_selected` is larger than the number of tokens.
    """
    scores = scores.astype(jnp.float32)
    index = top_k_index(scores, num_selected)
    selected = is_selected(scores, index, threshold, max_dropped)
    one_hot = one_hot_rows(index, selected, scores.size)
    # The scaled rows cancel in the value and leave the gradient to the scores.
    scaled_rows = scores[None] * one_hot
    straight_through = one_hot + (scaled_rows - jax.lax.stop_gradient(scaled_rows))
    return TopKResult(straight_through, index, selected)


def gather_selected(
    tokens: Float[Array, "n c"],
    scores: Float[Array, " n"],
    index: Int[Array, " m"],
    selected: Bool[Array, " m"],
) -> Float[Array, "m c"]:
    """Compute `weights @ tokens` of `straight_through_top_k` without the weights.

    The value and the gradients to tokens and scores are the same, from m rows instead
    of m n products.

    Args:
        tokens: [n c] tokens of the scale.
        scores: [n] scores that the tokens were selected by.
        index: [m] index returned by `straight_through_top_k`.
        selected: [m] selected rows returned by `straight_through_top_k`.

    Returns:
        [m c] rows in the dtype of the tokens; 0 where not selected.
    """
    row_scores = scores[index].astype(jnp.float32)
    # A factor of exactly 1 whose derivative with respect to the score is 1.
    unit_factor = 1.0 + (row_scores - jax.lax.stop_gradient(row_scores))
    selected_rows = tokens[index] * unit_factor.astype(tokens.dtype)[:, None]
    return jnp.where(selected[:, None], selected_rows, jnp.zeros_like(selected_rows))


def top_k_index(scores: Float[Array, " n"], num_selected: int) -> Int[Array, " m"]:
    """Return the indices of the highest scores, without gradient.

    Args:
        scores: [n] any real numbers.
        num_selected: Number of indices, m.

    Returns:
        [m] indices, highest score first; among equal scores the lower index first.

    Raises:
        ValueError: `num_selected` is larger than the number of tokens.
    """
    if num_selected > scores.size:
        raise ValueError(
            f"num_selected is {num_selected}, but there are {scores.size} tokens; "
            "select fewer or use a larger image"
        )
    # The compiler for TPUs sorts all scores.
    index = jax.lax.platform_dependent(
        jax.lax.stop_gradient(scores),
        tpu=partial(_top_k_by_counting, num_selected=num_selected),
        default=lambda scores: jax.lax.top_k(scores, num_selected)[1],
    )
    return name_saved_result(index)


def _top_k_by_counting(
    scores: Float[Array, " n"], *, num_selected: int
) -> Int[Array, " m"]:
    """Return the index of `jax.lax.top_k` by comparing each score with all others."""
    # Floats of the same sign are ordered like their bits, negative ones in reverse.
    bits = jax.lax.bitcast_convert_type(scores.astype(jnp.float32), jnp.int32)
    order = jnp.where(bits < 0, bits ^ jnp.iinfo(jnp.int32).max, bits)
    position = jnp.arange(scores.size, dtype=jnp.int32)
    is_higher = order[None, :] > order[:, None]
    is_equal_before = (order[None, :] == order[:, None]) & (
        position[None, :] < position[:, None]
    )
    rank = (is_higher | is_equal_before).sum(1, dtype=jnp.int32)
    # Each rank is that of one token.
    has_rank = rank[None, :] == jnp.arange(num_selected)[:, None]
    return jnp.where(has_rank, position[None], 0).sum(1, dtype=jnp.int32)


def is_selected(
    scores: Float[Array, " n"],
    index: Int[Array, " m"],
    threshold: float | None,
    max_dropped: int,
) -> Bool[Array, " m"]:
    """Return which rows of the top-k are used, by the rule of `TopKResult.selected`.

    Args:
        scores: [n] scores of all tokens, without noise.
        index: [m] indices of the top-k.
        threshold: As many rows stay as there are scores above it, or more; None drops
            only scores of 0.
        max_dropped: How many rows may be dropped for a low score.

    Returns:
        [m] True on rows that are used.
    """
    is_scored = scores[index] != 0
    if threshold is None:
        return is_scored
    # Rows are in rank order (`gumbel_top_k`: by noisy score), and the last are dropped.
    num_above = (scores > threshold).sum()
    num_used = jnp.maximum(index.size - max_dropped, num_above)
    return is_scored & (jnp.arange(index.size) < num_used)


def one_hot_rows(
    index: Int[Array, " m"], selected: Bool[Array, " m"], num_tokens: int
) -> Float[Array, "m n"]:
    """Return rows with a 1 at the index; rows that are not selected are 0.

    Args:
        index: [m] index of the token of each row.
        selected: [m] True on rows that are used.
        num_tokens: Number of columns, n.

    Returns:
        [m n] float32 rows.
    """
    # The index -1 has no column: its row is 0.
    return jax.nn.one_hot(jnp.where(selected, index, -1), num_tokens, dtype=jnp.float32)
