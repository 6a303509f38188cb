"""Token selection of MST, the module that is inserted between blocks of the ViT."""

import dataclasses
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from mst_jax.clicks.encode import clicked_patches
from mst_jax.collectives import split_key_per_example
from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import LayerNorm
from mst_jax.layers.remat import add_residual
from mst_jax.structs import MultiScaleTokens, SelectedTokens, TokenSelectionOutput
from mst_jax.tokens.cross_scale_attention import CrossScaleAttention
from mst_jax.tokens.noisy_top_k import gumbel_top_k, perturbed_top_k
from mst_jax.tokens.scores import make_click_token, score_tokens
from mst_jax.tokens.top_k import (
    TopKEstimator,
    gather_selected,
    straight_through_top_k,
)

TOP_K_ESTIMATORS: dict[str, TopKEstimator] = {
    "straight_through": straight_through_top_k,
    "perturbed": perturbed_top_k,
    "gumbel": gumbel_top_k,
}
"""Differentiable top-k estimators by the name that a config gives them."""

# Heads of the attention from fine to coarse tokens in every release; their width grows
# with the model.
COARSE_TO_FINE_HEADS = 2

# Hidden width of the MLP after the fusion, in units of the token width.
FUSION_MLP_RATIO = 4


def count_selected(num_tokens: int, keep_ratio: float) -> int:
    """Return how many tokens of a scale are selected, at least one.

    Args:
        num_tokens: Number of tokens of the scale.
        keep_ratio: Fraction of the tokens to select, more than 0 and at most 1.
    """
    # Rounded down, as published. 1e-6 absorbs the rounding of ratios such as 1 / 49,
    # whose product with 49 is a little less than 1.
    return max(math.floor(num_tokens * keep_ratio + 1e-6), 1)


def select_tokens(
    tokens: Float[Array, "b n c"],
    positions: Float[Array, "n c"],
    click_token: Float[Array, "b c"],
    key: PRNGKeyArray | None,
    *,
    top_k: str,
    keep_ratio: float,
    threshold: float | None,
) -> SelectedTokens:
    """Select the tokens of one scale that are most similar to the click token.

    Args:
        tokens: [b n c] tokens of the scale.
        positions: [n c] their position embeddings, added to the selected tokens.
        click_token: [b c] click token of each example.
        key: Random key of the estimator's noise, not reused elsewhere; None adds no
            noise.
        top_k: Name in `TOP_K_ESTIMATORS`.
        keep_ratio: Fraction of the tokens to select.
        threshold: Score that decides which selected tokens may be dropped, see
            `TokenSelection`.

    Returns:
        The selected tokens, highest score first (with `gumbel`: by noisy score).
    """
    scores = jax.vmap(score_tokens)(tokens, click_token)
    num_selected = count_selected(tokens.shape[1], keep_ratio)
    example_keys = None if key is None else split_key_per_example(key, len(scores))
    top_k_estimator = partial(
        TOP_K_ESTIMATORS[top_k], num_selected=num_selected, threshold=threshold
    )
    # The positions are added a second time, as published: the tokens begin with them.
    positioned_tokens = tokens + positions[None]

    def select_one(scores, positioned_tokens, key):
        weights, index, selected = top_k_estimator(scores, key=key)
        if top_k == "straight_through":
            # The same rows and gradients without the product with the [m n] weights.
            selected_rows = gather_selected(positioned_tokens, scores, index, selected)
        else:
            selected_rows = weights @ positioned_tokens.astype(jnp.float32)
            selected_rows = selected_rows.astype(positioned_tokens.dtype)
        return index, selected, selected_rows

    return SelectedTokens(
        scores, *jax.vmap(select_one)(scores, positioned_tokens, example_keys)
    )


class TokenSelection(nn.Module):
    """Select fine and coarse tokens near the clicks and fuse them into the base tokens.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3; the constants differ between
    releases, see `models/mst.py`.

    Attributes:
        patch_size: Side of a base token in pixels.
        score_heads: Number of heads of the attention from fine and coarse tokens to
            base tokens, before scoring.
        fuse_heads: Number of heads of the attention from base tokens to fused tokens.
        expert_ratio: Hidden width of the experts (one MLP per scale) in units of the
            token width.
        mlp_ratio: Hidden width of the MLP that follows the experts, before scoring, in
            units of the token width.
        pool_size: Side of the squares of base tokens that are pooled before scoring.
        keep_ratio: Fraction of the tokens of a scale that is selected, more than 0 and
            at most 1; rounded down to whole tokens, at least one.
        threshold: Selected tokens with at most this score are dropped, lowest first,
            but never more than `max_dropped` of `tokens.top_k`. None drops only tokens
            whose score is 0.
        self_attend_clicks: Whether the clicked tokens attend to each other, and whether
            their mean is scaled to length 1.
        layer_scale_init: Initial value of the learned scale of each channel
            (LayerScale).
        use_mlp: Whether an MLP follows the fusion into the base tokens, instead of a
            learned scale on the fusion.
        top_k: Name in `TOP_K_ESTIMATORS`.
        dtype: Compute dtype of the matrix products.
    """

    patch_size: int
    score_heads: int
    fuse_heads: int
    expert_ratio: int
    mlp_ratio: int
    pool_size: int
    keep_ratio: float
    threshold: float | None
    self_attend_clicks: bool
    layer_scale_init: float
    use_mlp: bool
    top_k: str = "straight_through"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w c"], multi_scale: MultiScaleTokens
    ) -> tuple[Float[Array, "b h w c"], MultiScaleTokens, TokenSelectionOutput]:
        """Select tokens and fuse them into the base tokens.

        Args:
            grid: [b h w c] base tokens.
            multi_scale: Fine and coarse tokens, their positions, and the clicks.

        Returns:
            [b h w c] the updated base tokens; the multi-scale tokens after attention to
            the base tokens, for the next selection; and what was selected.
        """
        _, h, w, c = grid.shape
        # 1. Fine and coarse tokens attend to the base tokens. The name "score" is the
        # parameter path of the released checkpoints of this project.
        cross_scale_attention = CrossScaleAttention(
            self.score_heads,
            self.expert_ratio * c,
            self.mlp_ratio * c,
            self.pool_size,
            self.dtype,
            name="score",
        )
        fine, coarse = cross_scale_attention(grid, multi_scale.fine, multi_scale.coarse)
        tokens = rearrange(grid, "b h w c -> b (h w) c")

        # 2. One click token per example, from the base tokens under positive clicks.
        def click_token_of_example(tokens, clicks):
            index, is_clicked = clicked_patches(
                clicks, h, w, patch_size=self.patch_size
            )
            return make_click_token(
                tokens, index, is_clicked, self_attend_clicks=self.self_attend_clicks
            )

        click_token = jax.vmap(click_token_of_example)(tokens, multi_scale.clicks)
        # 3. The most similar tokens of each scale.
        selected_fine = self._select_scale(
            fine, multi_scale.fine_positions, click_token
        )
        selected_coarse = self._select_scale(
            coarse, multi_scale.coarse_positions, click_token
        )
        # 4. Fuse them: coarse into fine, then fine into the base tokens.
        fused_tokens = self._fuse_scales(selected_fine, selected_coarse)
        tokens = self._fuse_into_base(tokens, fused_tokens)
        return (
            rearrange(tokens, "b (h w) c -> b h w c", h=h),
            dataclasses.replace(multi_scale, fine=fine, coarse=coarse),
            TokenSelectionOutput(
                click_token, selected_fine, selected_coarse, fused_tokens
            ),
        )

    def _select_scale(
        self,
        tokens: Float[Array, "b n c"],
        positions: Float[Array, "n c"],
        click_token: Float[Array, "b c"],
    ) -> SelectedTokens:
        """Select the tokens of one scale; the noise needs the key "token_selection"."""
        return select_tokens(
            tokens,
            positions,
            click_token,
            self.make_rng("token_selection")
            if self.has_rng("token_selection")
            else None,
            top_k=self.top_k,
            keep_ratio=self.keep_ratio,
            threshold=self.threshold,
        )

    def _fuse_scales(
        self, selected_fine: SelectedTokens, selected_coarse: SelectedTokens
    ) -> Float[Array, "b m c"]:
        """Return the selected fine tokens after attention to the coarse ones."""
        fine_tokens = LayerNorm(name="norm_fine")(selected_fine.tokens)
        coarse_tokens = LayerNorm(name="norm_coarse")(selected_coarse.tokens)
        attention = MultiHeadAttention(
            COARSE_TO_FINE_HEADS,
            dtype=self.dtype,
            use_bias=False,
            name="coarse_to_fine",
        )
        update = attention(fine_tokens, coarse_tokens)
        layer_scale = self._layer_scale("gamma", fine_tokens.shape[-1])
        return add_residual(selected_fine.tokens, layer_scale * update)

    def _fuse_into_base(
        self, tokens: Float[Array, "b n c"], fused_tokens: Float[Array, "b m c"]
    ) -> Float[Array, "b n c"]:
        """Return the base tokens after attention to the fused tokens."""
        width = tokens.shape[-1]
        attention = MultiHeadAttention(
            self.fuse_heads, dtype=self.dtype, use_bias=False, name="fused_to_grid"
        )
        update = attention(
            LayerNorm(name="norm_grid")(tokens),
            LayerNorm(name="norm_fused")(fused_tokens),
        )
        if not self.use_mlp:
            return add_residual(tokens, self._layer_scale("gamma2", width) * update)
        tokens = add_residual(tokens, update)
        mlp = MLP(FUSION_MLP_RATIO * width, self.dtype, name="mlp")
        return add_residual(tokens, mlp(LayerNorm(name="norm_mlp")(tokens)))

    def _layer_scale(self, name: str, width: int) -> Float[Array, "1 1 c"]:
        """Return the learned scale of each channel."""
        scale_init = nn.initializers.constant(self.layer_scale_init)
        return self.param(name, scale_init, (width,))[None, None]
