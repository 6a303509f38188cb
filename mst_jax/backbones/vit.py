"""The Vision Transformer, with window blocks and insertion points."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.attention import Attention
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import LayerNorm
from mst_jax.layers.remat import with_remat
from mst_jax.layers.windows import from_windows, to_windows


class Block(nn.Module):
    """One pre-norm transformer block on a grid of tokens.

    Attributes:
        num_heads: attention heads.
        window: side of the attention window in tokens; 0 attends to the whole grid.
        dtype: of the products.
    """

    num_heads: int
    window: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, grid: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Returns the grid after attention and MLP."""
        _, h, w, c = grid.shape
        attention = Attention(self.num_heads, self.dtype, name="attention")
        normal = LayerNorm(name="norm1")(grid)
        if self.window and (h > self.window or w > self.window):
            x, filled = to_windows(normal, size=self.window)
            # Whole windows need no mask, and without one attention is faster.
            whole = h % self.window == 0 and w % self.window == 0
            x = attention(x, x, blocked=None if whole else filled[:, None])
            update = from_windows(x, size=self.window, height=h, width=w)
        else:
            x = rearrange(normal, "b h w c -> b (h w) c")
            update = rearrange(attention(x, x), "b (h w) c -> b h w c", h=h)
        grid = grid + update
        return grid + MLP(4 * c, self.dtype, name="mlp")(LayerNorm(name="norm2")(grid))


class ViT(nn.Module):
    """Plain ViT: no class token, no final norm.

    Source: Li et al., Exploring Plain Vision Transformer Backbones, ECCV 2022.

    Attributes:
        depth: number of blocks.
        num_heads: attention heads.
        window: side of the attention window in tokens; 0 = every block is global.
        global_every: the last of so many blocks is global.
        insert_at: numbers of the blocks before which `insertions` are called.
        insertions: modules `(grid, lent) -> (grid, lent, choice)`, one for each number;
            `lent` is whatever the embedding lends, passed from insertion to insertion.
        dtype: of the products.
        remat: what of a block is computed again for gradients, see `layers.remat`.
    """

    depth: int
    num_heads: int
    window: int = 0
    global_every: int = 1
    insert_at: tuple[int, ...] = ()
    insertions: tuple[nn.Module, ...] = ()
    dtype: DTypeLike = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w c"], lent: object = ()
    ) -> tuple[Float[Array, "b h w c"], tuple]:
        """Runs all blocks.

        Args:
            grid: [b h w c] embedded patches with their positions.
            lent: what the insertions need besides the grid.

        Returns:
            [b h w c] the grid after the last block, and what each insertion chose.
        """
        inserted = dict(zip(self.insert_at, self.insertions, strict=True))
        make_block = with_remat(Block, self.remat)
        choices = []
        for number in range(self.depth):
            if number in inserted:
                grid, lent, choice = inserted[number](grid, lent)
                choices.append(choice)
            is_global = (number + 1) % self.global_every == 0
            window = 0 if is_global else self.window
            block = make_block(
                self.num_heads, window, self.dtype, name=f"block{number}"
            )
            grid = block(grid)
        return grid, tuple(choices)
