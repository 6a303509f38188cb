"""What token selections chose, made by hand or as the published program did."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from mst_jax.structs import Chosen, TokenChoice

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "token_losses.npz")
GOLDEN_TARGET = jnp.asarray(np.unpackbits(GOLDEN["target"], axis=-1).astype(bool))


def chosen(tokens, index, *, num_tokens, kept=None):
    """Chosen tokens [b m c] of a scale with `num_tokens`; all kept if not told."""
    tokens, index = jnp.asarray(tokens), jnp.asarray(index)
    kept = jnp.ones(index.shape, bool) if kept is None else jnp.asarray(kept)
    return Chosen(jnp.ones((len(index), num_tokens)), index, kept, tokens)


def scored(fine, coarse):
    """A choice of which only the scores matter."""
    fine, coarse = (
        Chosen(scores, jnp.zeros((len(scores), 0), int), None, None)
        for scores in (jnp.asarray(fine), jnp.asarray(coarse))
    )
    return TokenChoice(None, fine, coarse, None)


def golden_choices(suffix=""):
    """The three choices of a published model; `suffix` names the release of the scores."""

    def scale(name):
        tokens = jnp.asarray(GOLDEN[name + "_tokens"])
        scores = jnp.asarray(GOLDEN[f"{name}_scores{suffix}"])
        index = jnp.asarray(GOLDEN[name + "_index"])
        return Chosen(scores, index, (tokens != 0).any(-1), tokens)

    choices = []
    for i in range(3):
        fine, coarse = scale(f"fine{i}"), scale(f"coarse{i}")
        click = jnp.asarray(GOLDEN[f"click{i}"])
        choices.append(TokenChoice(click, fine, coarse, jnp.zeros_like(fine.tokens)))
    return tuple(choices)
