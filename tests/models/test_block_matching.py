"""Blocks of two models are matched by their order, layers by their shapes."""

import numpy as np
import pytest

from mst_jax.models.block_matching import (
    BlockSizes,
    block_sizes,
    check_block_sizes,
    layer_of,
    mismatched_layers,
    renumber_blocks,
    select_blocks,
)


def test_blocks_are_selected_evenly_from_the_first_to_the_last():
    assert select_blocks(12, 6) == [0, 2, 4, 7, 9, 11]
    assert select_blocks(3, 12) == [0, 1, 2]


def test_selected_blocks_are_numbered_from_0_and_others_are_left_out():
    names = ["backbone/block0/a", "backbone/block1/a", "backbone/block2/a", "neck/b"]
    assert renumber_blocks(names, [0, 2]) == {
        "backbone/block0/a": "backbone/block0/a",
        "backbone/block1/a": "backbone/block2/a",
        "neck/b": "neck/b",
    }


def test_a_layer_of_another_shape_does_not_fit():
    assert layer_of("neck/out4/kernel") == "neck/out4"
    source = {
        "neck/out4/kernel": np.zeros(2),
        "neck/out4/bias": np.zeros(1),
        "neck/out8/bias": np.zeros(1),
        "embed/positions": np.zeros(3),
    }
    model = source | {"neck/out4/kernel": np.zeros(3), "embed/positions": np.zeros(4)}
    assert mismatched_layers(source, model) == {"neck/out4"}


def test_sizes_are_read_from_shapes_and_compared():
    params = {
        "backbone/block0/attention/query/kernel": np.zeros((12, 3, 4)),
        "backbone/block1/mlp/kernel": np.zeros(1),
    }
    sizes = block_sizes(params)
    assert sizes == BlockSizes(width=12, depth=2, num_heads=3)
    check_block_sizes(sizes, sizes, num_blocks=2)
    with pytest.raises(ValueError, match="it has width 12, 2 blocks, 3 heads, but the"):
        check_block_sizes(sizes, sizes._replace(width=6), num_blocks=2)
