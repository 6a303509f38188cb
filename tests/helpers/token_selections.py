"""Token selections made by hand or taken from the published program."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from mst_jax.structs import SelectedTokens, TokenSelectionOutput

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "token_losses.npz")
GOLDEN_TARGET = jnp.asarray(np.unpackbits(GOLDEN["target"], axis=-1).astype(bool))


def make_selected_tokens(tokens, index, *, num_tokens, selected=None):
    """Make selected tokens [b m c] of a scale with `num_tokens` tokens.

    Args:
        tokens: [b m c] features of the selected tokens.
        index: [b m] indices of the selected tokens.
        num_tokens: Number of tokens of the scale.
        selected: [b m] False for tokens that are dropped; None: all are selected.
    """
    tokens, index = jnp.asarray(tokens), jnp.asarray(index)
    if selected is None:
        selected = jnp.ones(index.shape, bool)
    scores = jnp.ones((len(index), num_tokens))
    return SelectedTokens(scores, index, jnp.asarray(selected), tokens)


def make_scored_selection(fine_scores, coarse_scores):
    """Make a token selection of which only the scores [b n] are defined."""
    fine, coarse = (
        SelectedTokens(scores, jnp.zeros((len(scores), 0), int), None, None)
        for scores in (jnp.asarray(fine_scores), jnp.asarray(coarse_scores))
    )
    return TokenSelectionOutput(None, fine, coarse, None)


def golden_selections(suffix=""):
    """Return the three token selections of a published model.

    Args:
        suffix: Suffix of the scores in the golden file, which names their release.
    """

    def golden_scale(name):
        tokens = jnp.asarray(GOLDEN[name + "_tokens"])
        scores = jnp.asarray(GOLDEN[f"{name}_scores{suffix}"])
        index = jnp.asarray(GOLDEN[name + "_index"])
        # The published program zeroes the tokens that it drops.
        return SelectedTokens(scores, index, (tokens != 0).any(-1), tokens)

    selections = []
    for layer in range(3):
        fine, coarse = golden_scale(f"fine{layer}"), golden_scale(f"coarse{layer}")
        click = jnp.asarray(GOLDEN[f"click{layer}"])
        fused = jnp.zeros_like(fine.tokens)
        selections.append(TokenSelectionOutput(click, fine, coarse, fused))
    return tuple(selections)
