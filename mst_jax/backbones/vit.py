"""Plain vision transformer with window attention and insertion points."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.backbones.block_loop import TOKEN_SELECTION_KEY, run_in_loops
from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.mlp import MLP
from mst_jax.layers.norms import LayerNorm
from mst_jax.layers.remat import add_residual, with_remat
from mst_jax.layers.windows import merge_windows, partition_windows

# Width of a block's MLP in units of the token width.
MLP_RATIO = 4


class TransformerBlock(nn.Module):
    """Pre-norm transformer block on a grid of tokens.

    Attributes:
        num_heads: Number of attention heads.
        window_size: Side of the attention windows in tokens; 0 attends globally.
        dtype: Compute dtype of the matrix products.
    """

    num_heads: int
    window_size: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, grid: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the grid after attention and MLP, each with a residual connection.

        Args:
            grid: [b h w c] tokens.
        """
        _, h, w, c = grid.shape
        attention = MultiHeadAttention(self.num_heads, self.dtype, name="attention")
        normed_grid = LayerNorm(name="norm1")(grid)
        if self.window_size and (h > self.window_size or w > self.window_size):
            # 1a. Attention inside each window.
            tokens, is_padding = partition_windows(
                normed_grid, window_size=self.window_size
            )
            # Without padding there is no mask: attention is faster without one.
            has_no_padding = h % self.window_size == 0 and w % self.window_size == 0
            blocked = None if has_no_padding else is_padding[:, None]
            attended = attention(tokens, tokens, blocked=blocked)
            update = merge_windows(
                attended, window_size=self.window_size, height=h, width=w
            )
        else:
            # 1b. Attention over the whole grid.
            tokens = rearrange(normed_grid, "b h w c -> b (h w) c")
            update = rearrange(attention(tokens, tokens), "b (h w) c -> b h w c", h=h)
        grid = add_residual(grid, update)
        # 2. MLP on each token.
        mlp = MLP(MLP_RATIO * c, self.dtype, name="mlp")
        return add_residual(grid, mlp(LayerNorm(name="norm2")(grid)))


class ViT(nn.Module):
    """Plain ViT without class token and final norm, as in ViTDet.

    Source: Li et al., Exploring Plain Vision Transformer Backbones, ECCV 2022.

    Attributes:
        depth: Number of blocks.
        num_heads: Number of attention heads of a block.
        window_size: Side of the attention windows in tokens; 0 makes every block
            global.
        global_every: Number of blocks in a group; the last of each group is global.
        insert_at: Indices of the blocks before which `insertions` are called.
        insertions: Modules `(grid, multi_scale) -> (grid, multi_scale, selection)`, one
            for each index, such as `TokenSelection`.
        dtype: Compute dtype of the matrix products.
        remat: What a block recomputes in the backward pass, see `layers.remat`.
        scan: Whether equal blocks are the body of a loop, see `run_in_loops`.
    """

    depth: int
    num_heads: int
    window_size: int = 0
    global_every: int = 1
    insert_at: tuple[int, ...] = ()
    insertions: tuple[nn.Module, ...] = ()
    dtype: DTypeLike = jnp.float32
    remat: str = "none"
    scan: bool = False

    @nn.compact
    def __call__(
        self, grid: Float[Array, "b h w c"], multi_scale: Any = None
    ) -> tuple[Float[Array, "b h w c"], tuple[Any, ...]]:
        """Run all blocks, and the insertions before theirs.

        Args:
            grid: [b h w c] patch tokens with their positions.
            multi_scale: What the insertions need besides the grid, normally
                `MultiScaleTokens`; each insertion passes it on to the next.

        Returns:
            [b h w c] the grid after the last block, and the selection that each
            insertion returned.
        """
        insertion_of_block = dict(zip(self.insert_at, self.insertions, strict=True))
        if self.scan and not self.is_initializing():
            return self._run_blocks_in_loops(grid, multi_scale)
        selections = []
        for index in range(self.depth):
            # 1. Token selection, if it is inserted here.
            if index in insertion_of_block:
                grid, multi_scale, selection = insertion_of_block[index](
                    grid, multi_scale
                )
                selections.append(selection)
            # 2. The block itself.
            grid = self._make_block(index, name=f"block{index}")(grid)
        return grid, tuple(selections)

    def _make_block(self, index: int, **module_fields: Any) -> nn.Module:
        """Make a block; the last one of each group attends globally."""
        is_global = (index + 1) % self.global_every == 0
        block_class = with_remat(TransformerBlock, self.remat, in_loop=self.scan)
        window_size = 0 if is_global else self.window_size
        return block_class(self.num_heads, window_size, self.dtype, **module_fields)

    def _run_blocks_in_loops(
        self, grid: Float[Array, "b h w c"], multi_scale: Any
    ) -> tuple[Float[Array, "b h w c"], tuple[Any, ...]]:
        """Do what `__call__` does, with modules outside of this one."""
        params = self.variables["params"]
        insertion_keys: Any = [None] * len(self.insertions)
        if self.insertions and self.has_rng(TOKEN_SELECTION_KEY):
            insertion_keys = jax.random.split(
                self.make_rng(TOKEN_SELECTION_KEY), len(self.insertions)
            )
        # A module without parent applies the parameters of any layer.
        modules: list[tuple[nn.Module | None, nn.Module]] = [
            (None, self._make_block(index, parent=None)) for index in range(self.depth)
        ]
        layer_params: list[tuple[Any, Any]] = [
            (None, params[f"block{index}"]) for index in range(self.depth)
        ]
        for number, index in enumerate(self.insert_at):
            insertion = self.insertions[number].clone(parent=None, name=None)
            insertion_params = params[f"insertions_{number}"], insertion_keys[number]
            modules[index] = insertion, modules[index][1]
            layer_params[index] = insertion_params, layer_params[index][1]
        return run_in_loops(modules, layer_params, grid, multi_scale, dtype=self.dtype)
