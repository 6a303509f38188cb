"""The blocks of a ViT and the insertions between them as loops over equal layers."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mst_jax.layers.layer_loop import shortest_period, stack_parameters

TOKEN_SELECTION_KEY = "token_selection"
"""Name of the random key that insertions may draw."""


def run_in_loops(
    modules: Sequence[tuple[nn.Module | None, nn.Module]],
    layer_params: Sequence[tuple[Any, Any]],
    grid: Float[Array, "b h w c"],
    multi_scale: Any,
    *,
    dtype: DTypeLike,
) -> tuple[Float[Array, "b h w c"], tuple[Any, ...]]:
    """Run the blocks of a ViT as loops, whose bodies are compiled once.

    The outer loop runs over the smallest group of layers that repeats, and inner loops
    over equal blocks of a group. The loops read parameters that are stacked at each
    call, so that the parameter tree is the same as without loops. Insertions draw other
    random numbers than without loops.

    Args:
        modules: Insertion before each block, or None, and the block; without parents.
        layer_params: For each block, (parameters and random key or None) of the
            insertion before it, or None, and the parameters of the block.
        grid: [b h w c] patch tokens.
        multi_scale: What insertions need besides the grid.
        dtype: Compute dtype of blocks and insertions.

    Returns:
        [b h w c] the grid after the last block, and the selection that each insertion
        returned.
    """
    group_size = shortest_period(modules)
    num_groups = len(modules) // group_size
    # 1. Runs of equal blocks; an insertion or another block begins a new one.
    run_starts = [
        index
        for index in range(group_size)
        if index == 0 or modules[index] != (None, modules[index - 1][1])
    ]

    def stack_run(part: int, start: int, stop: int) -> Any:
        group_starts = range(0, len(modules), group_size)
        part_params = [
            layer_params[group_start + index][part]
            for group_start in group_starts
            for index in range(start, stop)
        ]
        return jax.tree.map(
            lambda leaf: leaf.reshape(num_groups, -1, *leaf.shape[1:]),
            stack_parameters(part_params, dtype),
        )

    stacked_runs = [
        (stack_run(0, start, start + 1), stack_run(1, start, stop))
        for start, stop in zip(run_starts, [*run_starts[1:], group_size], strict=True)
    ]

    # 2. A group: its insertions, each followed by equal blocks.
    def run_group(carry: tuple, group_runs: list) -> tuple[tuple, list]:
        grid, multi_scale = carry
        selections = []
        for start, (stacked_insertion, block_params) in zip(
            run_starts, group_runs, strict=True
        ):
            insertion, block = modules[start]
            if insertion is not None:
                params, key = jax.tree.map(lambda leaf: leaf[0], stacked_insertion)
                rngs = {} if key is None else {TOKEN_SELECTION_KEY: key}
                insertion_outputs: Any = insertion.apply(
                    {"params": params}, grid, multi_scale, rngs=rngs
                )
                grid, multi_scale, selection = insertion_outputs
                selections.append(selection)
            grid, _ = jax.lax.scan(partial(_apply_block, block), grid, block_params)
        return (grid, multi_scale), selections

    # 3. All groups; the selections of all groups are stacked.
    (grid, _), stacked_selections = jax.lax.scan(
        run_group, (grid, multi_scale), stacked_runs
    )
    selections = [
        jax.tree.map(lambda leaf, group=group: leaf[group], stacked_selection)
        for group in range(num_groups)
        for stacked_selection in stacked_selections
    ]
    return grid, tuple(selections)


def _apply_block(block: nn.Module, grid: Array, params: Any) -> tuple[Array, None]:
    """Return the grid after a block, in the form of `jax.lax.scan`."""
    next_grid: Any = block.apply({"params": params}, grid)
    return next_grid, None
