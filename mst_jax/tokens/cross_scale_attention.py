"""Cross-attention from the fine and coarse tokens to the base tokens."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import PYTORCH_EPS, LayerNorm
from mst_jax.layers.patch_embed import PatchEmbed
from mst_jax.layers.remat import add_residual


class CrossScaleAttention(nn.Module):
    """Update the fine and the coarse tokens by attention to the base tokens.

    Source: Xu et al., MST, arXiv 2401.04403, Section 3.2. The scales share all weights
    except for an MLP after the attention, one per scale (the "expert").

    Attributes:
        num_heads: Number of attention heads.
        expert_hidden: Hidden width of the experts.
        mlp_hidden: Hidden width of the shared MLP.
        pool_size: Side of the squares of base tokens that are pooled into one key by a
            strided convolution; 1 pools nothing.
        dtype: Compute dtype of the matrix products.
    """

    num_heads: int
    expert_hidden: int
    mlp_hidden: int
    pool_size: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        grid: Float[Array, "b h w c"],
        fine: Float[Array, "b n c"],
        coarse: Float[Array, "b n2 c"],
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b n2 c"]]:
        """Return the updated fine and coarse tokens.

        Args:
            grid: [b h w c] base tokens.
            fine: [b n c] fine tokens.
            coarse: [b n2 c] coarse tokens.

        Raises:
            ValueError: The grid is smaller than one pooled square.
        """
        _, h, w, c = grid.shape
        if min(h, w) < self.pool_size:
            raise ValueError(
                f"the image has {h}x{w} patches, token selection needs "
                f"{self.pool_size}x{self.pool_size} or more; use a larger image"
            )
        # 1. Keys: the base tokens, pooled to shorten the attention.
        base_tokens = LayerNorm(PYTORCH_EPS, name="norm_grid")(grid)
        if self.pool_size > 1:
            # Rows and columns that do not fill a square are dropped, as by a
            # convolution.
            whole_squares = base_tokens[
                :, : h - h % self.pool_size, : w - w % self.pool_size
            ]
            pool_squares = PatchEmbed(c, self.pool_size, self.dtype, name="reduce")
            base_tokens = LayerNorm(PYTORCH_EPS, name="reduce_norm")(
                pool_squares(whole_squares)
            )
        base_tokens = rearrange(base_tokens, "b h w c -> b (h w) c")
        # 2. One set of weights for both scales.
        norm_tokens = LayerNorm(PYTORCH_EPS, name="norm_tokens")
        attention = MultiHeadAttention(
            self.num_heads,
            self.dtype,
            use_bias=False,
            use_output_projection=False,
            name="attention",
        )
        norm_mlp = LayerNorm(PYTORCH_EPS, name="norm_mlp")
        shared_mlp = MLP(self.mlp_hidden, self.dtype, name="mlp")

        def update_scale(tokens: Array, name: str) -> Array:
            # 3. Attention, expert of the scale and shared MLP, with residual
            # connections.
            scale_expert = MLP(self.expert_hidden, self.dtype, name=name)
            expert_update = scale_expert(attention(norm_tokens(tokens), base_tokens))
            tokens = add_residual(tokens, expert_update)
            return add_residual(tokens, shared_mlp(norm_mlp(tokens)))

        return update_scale(fine, "fine"), update_scale(coarse, "coarse")
