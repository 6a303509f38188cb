"""Match the blocks and layers of two models, for a warm start."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mst_jax.backbones.vit_sizes import VIT_SIZES
from mst_jax.checkpoints.parameter_mapping import FlatParams

# Beginnings of the paths of all parameters before the neck.
ENCODER_PREFIXES = ("embed/", "backbone/")

# Its shape is [width heads head-width].
QUERY_KERNEL = "backbone/block0/attention/query/kernel"


class BlockSizes(NamedTuple):
    """Sizes that two backbones must have in common.

    Attributes:
        width: Channels of a token.
        depth: Number of blocks.
        num_heads: Number of attention heads of a block.
    """

    width: int
    depth: int
    num_heads: int

    def __str__(self) -> str:
        return f"width {self.width}, {self.depth} blocks, {self.num_heads} heads"


def select_blocks(depth: int, max_blocks: int) -> list[int]:
    """Return indices of at most `max_blocks` of `depth` blocks, evenly spaced."""
    spaced_indices = np.linspace(0, depth - 1, min(depth, max_blocks))
    return spaced_indices.round().astype(int).tolist()


def renumber_blocks(
    names: Iterable[str], block_indices: Sequence[int]
) -> dict[str, str]:
    """Renumber the selected blocks from 0.

    Returns:
        New name -> name; parameters of other blocks are left out.
    """
    new_indices = {
        f"backbone/block{index}": new_index
        for new_index, index in enumerate(block_indices)
    }
    origin_names = {}
    for name in names:
        layer = layer_of(name)
        # Blocks that were not selected are left out; all other layers keep their names.
        if layer in new_indices:
            param_suffix = name.removeprefix(layer)
            origin_names[f"backbone/block{new_indices[layer]}{param_suffix}"] = name
        elif not layer.startswith("backbone/block"):
            origin_names[name] = name
    return origin_names


def mismatched_layers(source: FlatParams, flat_params: Mapping[str, Any]) -> set[str]:
    """Return the layers behind the backbone some of whose shapes differ."""
    return {
        layer_of(name)
        for name in source.keys() & flat_params.keys()
        if not name.startswith(ENCODER_PREFIXES)
        and source[name].shape != flat_params[name].shape
    }


def layer_of(name: str) -> str:
    """Return the first two steps of a path, such as "neck/out4"."""
    return "/".join(name.split("/")[:2])


def block_sizes(flat_params: Mapping[str, Any]) -> BlockSizes:
    """Return the sizes of a model's blocks."""
    block_names = {
        path.split("/")[1] for path in flat_params if path.startswith("backbone/block")
    }
    # Heads are an axis of the query kernel, so its shape holds their number.
    width, num_heads, _ = flat_params[QUERY_KERNEL].shape
    return BlockSizes(width, len(block_names), num_heads)


def check_block_sizes(
    source_sizes: BlockSizes, model_sizes: BlockSizes, *, num_blocks: int
) -> None:
    """Check that the blocks of a checkpoint have the sizes of a model's.

    Args:
        source_sizes: Sizes of the checkpoint.
        model_sizes: Sizes of the model.
        num_blocks: Number of the checkpoint's blocks that are used.

    Raises:
        ValueError: Another width or number of heads, or too few blocks; the message
            names the sizes of models that fit.
    """
    used_blocks = min(num_blocks, source_sizes.depth)
    if source_sizes._replace(depth=used_blocks) == model_sizes:
        return
    fitting_sizes = [
        name
        for name, size in VIT_SIZES.items()
        if (size.width, size.num_heads) == (source_sizes.width, source_sizes.num_heads)
        and size.depth <= source_sizes.depth
    ]
    advice = "start from another checkpoint"
    if fitting_sizes:
        advice = (
            f"models of size {' or '.join(fitting_sizes)} can start from it: choose "
            "the size in the argument of the config, such as configs/objects.py:size="
            f"{fitting_sizes[-1]}, or {advice}"
        )
    raise ValueError(
        f"it has {source_sizes}, but the model has {model_sizes}; {advice}"
    )
