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
        # One axis of tokens throughout: with two, the compiler for TPUs chooses layouts
        # for the norms that the products do not take, and copies each sum twice.
        tokens = rearrange(grid, "b h w c -> b (h w) c")
        normed_tokens = LayerNorm(name="norm1")(tokens)
        if self.window_size and (h > self.window_size or w > self.window_size):
            # 1a. Attention inside each window.
            window_tokens, is_padding = partition_windows(
                rearrange(normed_tokens, "b (h w) c -> b h w c", h=h),
                window_size=self.window_size,
            )
            # Without padding there is no mask: attention is faster without one.
            has_no_padding = h % self.window_size == 0 and w % self.window_size == 0
            blocked = None if has_no_padding else is_padding[:, None]
            attended = attention(window_tokens, window_tokens, blocked=blocked)
            attended_grid = merge_windows(
                attended, window_size=self.window_size, height=h, width=w
            )
            update = rearrange(attended_grid, "b h w c -> b (h w) c")
        else:
            # 1b. Attention over the whole grid.
            update = attention(normed_tokens, normed_tokens)
        tokens = add_residual(tokens, update)
        # 2. MLP on each token.
        mlp = MLP(MLP_RATIO * c, self.dtype, name="mlp")
        tokens = add_residual(tokens, mlp(LayerNorm(name="norm2")(tokens)))
        return rearrange(tokens, "b (h w) c -> b h w c", h=h)


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
        grid_size, selections = grid.shape[1:3], []
        is_in_windows = False
        for index in range(self.depth):
            # 1. Successive blocks with windows keep their tokens in windows, which are
            # small grids; this saves copies.
            is_windowed = not self._is_global(index) and index not in insertion_of_block
            if is_in_windows and not is_windowed:
                grid, is_in_windows = self._to_grid(grid, grid_size), False
            if is_windowed and not is_in_windows and self._has_whole_windows(grid_size):
                grid, is_in_windows = self._to_windows(grid), True
            # 2. Token selection, if it is inserted here.
            if index in insertion_of_block:
                grid, multi_scale, selection = insertion_of_block[index](
                    grid, multi_scale
                )
                selections.append(selection)
            # 3. The block itself.
            grid = self._make_block(index, name=f"block{index}")(grid)
        if is_in_windows:
            grid = self._to_grid(grid, grid_size)
        return grid, tuple(selections)

    def _is_global(self, index: int) -> bool:
        """Return whether a block, the last one of its group, attends globally."""
        return not self.window_size or (index + 1) % self.global_every == 0

    def _has_whole_windows(self, grid_size: tuple[int, ...]) -> bool:
        """Return whether a grid consists of whole windows, and more than one."""
        return max(grid_size) > self.window_size and not any(
            side % self.window_size for side in grid_size
        )

    def _to_windows(self, grid: Float[Array, "b h w c"]) -> Float[Array, "m y x c"]:
        """Partition a grid into windows, each of which is a small grid."""
        windows, _ = partition_windows(grid, window_size=self.window_size)
        return rearrange(windows, "m (y x) c -> m y x c", y=self.window_size)

    def _to_grid(
        self, windows: Float[Array, "m y x c"], grid_size: tuple[int, ...]
    ) -> Float[Array, "b h w c"]:
        """Merge windows into the grid; inverts `_to_windows`."""
        return merge_windows(
            rearrange(windows, "m y x c -> m (y x) c"),
            window_size=self.window_size,
            height=grid_size[0],
            width=grid_size[1],
        )

    def _make_block(self, index: int, **module_fields: Any) -> nn.Module:
        """Make a block, with windows or without."""
        block_class = with_remat(TransformerBlock, self.remat, in_loop=self.scan)
        window_size = 0 if self._is_global(index) else self.window_size
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
