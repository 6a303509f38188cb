"""Chosen fine and coarse tokens -> base tokens: the module that is inserted in the ViT."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from mst_jax.clicks.encode import clicked_cells
from mst_jax.collectives import split_key
from mst_jax.layers.attention import Attention
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import LayerNorm
from mst_jax.structs import Chosen, Lent, TokenChoice
from mst_jax.tokens.scores import LookAtGrid, click_token, token_scores
from mst_jax.tokens.top_k import TOP_K, take_chosen

# In every release; the width of a head grows with the model.
COARSE_HEADS = 2


def choose(
    tokens: Float[Array, "b n c"],
    positions: Float[Array, "n c"],
    click: Float[Array, "b c"],
    key: PRNGKeyArray | None,
    *,
    top_k: str,
    one_of: int,
    threshold: float | None,
) -> Chosen:
    """Chooses the tokens of one scale that look most like the click token.

    Args:
        tokens: [b n c] of the scale.
        positions: [n c] theirs, added to those that are chosen.
        click: [b c] click token.
        key: random key, used here only; None = choose without noise.
        top_k: name in `topk.TOP_K`.
        one_of: one of so many tokens is chosen, at least one.
        threshold: see `TokenSelection`.
    """
    scores = jax.vmap(token_scores)(tokens, click)
    num_chosen = max(tokens.shape[1] // one_of, 1)
    keys = None if key is None else split_key(key, len(scores))
    select = partial(TOP_K[top_k], num_chosen=num_chosen, threshold=threshold)
    placed = tokens + positions[None]

    def one(scores, placed, key):
        weights, index, kept = select(scores, key=key)
        if top_k == "straight_through":  # the same without the [m n] matrix
            return index, kept, take_chosen(placed, scores, index, kept)
        return index, kept, (weights @ placed.astype(jnp.float32)).astype(placed.dtype)

    return Chosen(scores, *jax.vmap(one)(scores, placed, keys))


class TokenSelection(nn.Module):
    """Base tokens borrow the few finer and coarser tokens that look like the clicks.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3; constants differ by release, see
    `models/mst.py`.

    Attributes:
        patch: side of a base token in pixels.
        score_heads: heads of the attention to the grid.
        fuse_heads: heads of the attention that writes into the grid.
        expert_hidden: hidden width after the attention to the grid, in token widths.
        mlp_hidden: hidden width of the MLP that follows, in token widths.
        reduce: side of the squares of base tokens that are looked at as one.
        one_of: one of so many tokens of a scale is chosen.
        threshold: chosen tokens that do not score more are dropped, the worst first,
            but never more than `topk` can spare; None keeps all whose score is not 0.
        attends: do the clicked tokens look at each other, and is their mean scaled?
        gain: what the learned gains start at.
        ends_with_mlp: an MLP on the grid after it was written into, in place of a gain.
        top_k: name in `topk.TOP_K`.
        dtype: of the products.
    """

    patch: int
    score_heads: int
    fuse_heads: int
    expert_hidden: int
    mlp_hidden: int
    reduce: int
    one_of: int
    threshold: float | None
    attends: bool
    gain: float
    ends_with_mlp: bool
    top_k: str = "straight_through"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w c"], lent: Lent
    ) -> tuple[Float[Array, "b h w c"], Lent, TokenChoice]:
        """Returns the grid with what was borrowed, updated lent tokens, and the choice."""
        _, h, w, c = grid.shape
        look = LookAtGrid(
            self.score_heads,
            self.expert_hidden * c,
            self.mlp_hidden * c,
            self.reduce,
            self.dtype,
            name="score",
        )
        fine, coarse = look(grid, lent.fine, lent.coarse)
        tokens = rearrange(grid, "b h w c -> b (h w) c")

        def make_click(tokens, clicks):
            cells, clicked = clicked_cells(clicks, h, w, patch=self.patch)
            return click_token(tokens, cells, clicked, attends=self.attends)

        click = jax.vmap(make_click)(tokens, lent.clicks)
        chosen_fine, chosen_coarse = (
            choose(
                x,
                places,
                click,
                self.make_rng("choice") if self.has_rng("choice") else None,
                top_k=self.top_k,
                one_of=self.one_of,
                threshold=self.threshold,
            )
            for x, places in (
                (fine, lent.fine_positions),
                (coarse, lent.coarse_positions),
            )
        )
        gather = partial(Attention, dtype=self.dtype, use_bias=False)
        fine_tokens = LayerNorm(name="norm_fine")(chosen_fine.tokens)
        coarse_tokens = LayerNorm(name="norm_coarse")(chosen_coarse.tokens)
        gathered = gather(COARSE_HEADS, name="coarse_to_fine")(
            fine_tokens, coarse_tokens
        )
        fused = chosen_fine.tokens + self.gain_of("gamma", c) * gathered
        gathered = gather(self.fuse_heads, name="fused_to_grid")(
            LayerNorm(name="norm_grid")(tokens), LayerNorm(name="norm_fused")(fused)
        )
        if self.ends_with_mlp:
            tokens = tokens + gathered
            mlp = MLP(4 * c, self.dtype, name="mlp")
            tokens = tokens + mlp(LayerNorm(name="norm_mlp")(tokens))
        else:
            tokens = tokens + self.gain_of("gamma2", c) * gathered
        return (
            rearrange(tokens, "b (h w) c -> b h w c", h=h),
            dataclasses.replace(lent, fine=fine, coarse=coarse),
            TokenChoice(click, chosen_fine, chosen_coarse, fused),
        )

    def gain_of(self, name: str, width: int) -> Float[Array, "1 1 c"]:
        """Learned gain of each channel."""
        init = nn.initializers.constant(self.gain)
        return self.param(name, init, (width,))[None, None]
