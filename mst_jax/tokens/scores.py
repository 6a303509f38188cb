"""Scores of fine and coarse tokens: their similarity to the clicked base tokens."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Scores decide which tokens are selected: float32 products on every device.
FULL_PRECISION = jax.lax.Precision.HIGHEST


def make_click_token(
    tokens: Float[Array, "n c"],
    clicked_index: Int[Array, " k"],
    is_clicked: Bool[Array, " k"],
    *,
    self_attend_clicks: bool,
) -> Float[Array, " c"]:
    """Average the clicked tokens of one example.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3.3; without self-attention as in
    the releases 224, 1024 and 224-large.

    Args:
        tokens: [n c] base tokens, row by row.
        clicked_index: [k] indices of the tokens under the clicks; a token that is
            clicked twice counts twice.
        is_clicked: [k] True where a slot counts.
        self_attend_clicks: Whether the clicked tokens first attend to each other,
            softmax(T T^t / sqrt c) T, and their mean is scaled to length 1. False takes
            the plain mean.

    Returns:
        [c] float32 click token; 0 without a click.
    """
    clicked_tokens = tokens[clicked_index].astype(jnp.float32)
    clicked_tokens = jnp.where(is_clicked[:, None], clicked_tokens, 0.0)
    if self_attend_clicks:
        # 1. Self-attention without weights; empty slots are neither queries nor keys.
        click_similarity = jnp.einsum(
            "kc,mc->km", clicked_tokens, clicked_tokens, precision=FULL_PRECISION
        )
        lowest_float = jnp.finfo(jnp.float32).min
        logits = click_similarity * clicked_tokens.shape[-1] ** -0.5
        logits = jnp.where(is_clicked[None], logits, lowest_float)
        attention_weights = jnp.where(is_clicked[:, None], jax.nn.softmax(logits), 0.0)
        clicked_tokens = jnp.einsum(
            "km,mc->kc", attention_weights, clicked_tokens, precision=FULL_PRECISION
        )
    # 2. Mean over the filled slots; without a click the sum is 0 and stays 0.
    mean_token = clicked_tokens.sum(0) / jnp.maximum(is_clicked.sum(), 1)
    return mean_token / _nonzero_norm(mean_token) if self_attend_clicks else mean_token


def score_tokens(
    tokens: Float[Array, "n c"], click_token: Float[Array, " c"]
) -> Float[Array, " n"]:
    """Score tokens by their cosine similarity to the click token: (cosine + 1) / 2.

    Args:
        tokens: [n c] tokens of one scale.
        click_token: [c] click token of the example.

    Returns:
        [n] float32 scores, 0 to 1; all 0 where the click token is 0 (without a click).
    """
    tokens = tokens.astype(jnp.float32)
    dot_product = jnp.einsum("nc,c->n", tokens, click_token, precision=FULL_PRECISION)
    cosine_similarity = dot_product / (
        _nonzero_norm(tokens) * _nonzero_norm(click_token)
    )
    # Exactly 0 means "not scored" for the top-k estimators.
    return jnp.where((click_token == 0).all(), 0.0, (cosine_similarity + 1.0) / 2.0)


def _nonzero_norm(x: Float[Array, "*n c"]) -> Float[Array, "*n"]:
    """Return the Euclidean norm, or 1 where it is 0, so that it can be divided by."""
    squared_norm = jnp.square(x).sum(-1)
    # The replacement comes before the square root, whose gradient at 0 is infinite.
    return jnp.sqrt(jnp.where(squared_norm > 0, squared_norm, 1.0))
