"""What each array does in the published program, seen in our modules' results."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from mst_jax.checkpoints import torch_vit
from mst_jax.checkpoints.parameter_mapping import NameTable, read_names, write_names
from mst_jax.layers.attention import Attention
from mst_jax.layers.patchify import Patchify
from mst_jax.necks.simple_pyramid import Enlarge


def run(module, rules, arrays, shapes, *inputs):
    """Applies a module with parameters read from a checkpoint's arrays."""
    flat, _ = read_names(arrays, NameTable(tuple(rules), {}), shapes)
    return module.apply({"params": unflatten_dict(flat, sep="/")["m"]}, *inputs)


def test_a_linear_layer_multiplies_its_rows_with_the_input():
    arrays = {
        "fc.weight": np.array([[1, 2], [3, 4], [5, 6]]),
        "fc.bias": np.array([0, 0, 100]),
    }
    shapes = {"m/kernel": (2, 3), "m/bias": (3,)}
    x = jnp.array([[1.0, 10.0]])
    want = [[21, 43, 165]]
    rules = torch_vit.dense_rules("fc", "m")
    np.testing.assert_array_equal(run(nn.Dense(3), rules, arrays, shapes, x), want)
    cells = arrays | {"fc.weight": arrays["fc.weight"][:, :, None, None]}
    rules = torch_vit.cell_rules("fc", "m")
    np.testing.assert_array_equal(run(nn.Dense(3), rules, cells, shapes, x), want)


def test_a_convolution_has_channels_first():
    """Output 0 picks row 0, column 1, channel 2; output 1 row 1, column 0, channel 0."""
    weight = np.zeros((2, 3, 2, 2))
    weight[0, 2, 0, 1] = weight[1, 0, 1, 0] = 1
    image = np.arange(12.0, dtype=np.float32).reshape(1, 2, 2, 3)
    out = run(
        Patchify(2, 2),
        torch_vit.patch_rules("proj", "m"),
        {"proj.weight": weight, "proj.bias": np.zeros(2)},
        {"m/kernel": (2, 2, 3, 2), "m/bias": (2,)},
        jnp.asarray(image),
    )
    np.testing.assert_array_equal(out[0, 0, 0], [image[0, 0, 1, 2], image[0, 1, 0, 0]])


def test_a_transposed_convolution_has_input_channels_first():
    weight = np.zeros((2, 1, 2, 2))
    weight[0, 0] = [[1, 2], [3, 4]]
    weight[1, 0] = [[0, 0], [0, 100]]
    out = run(
        Enlarge(1),
        torch_vit.enlarge_rules("up", "m"),
        {"up.weight": weight, "up.bias": np.array([0.5])},
        {"m/kernel/kernel": (2, 2, 2, 1), "m/bias": (1,)},
        jnp.array([[[[1.0, 1.0], [10.0, 0.0]]]]),
    )
    np.testing.assert_array_equal(
        out[0, :, :, 0], [[1.5, 2.5, 10.5, 20.5], [3.5, 104.5, 30.5, 40.5]]
    )


def test_query_key_and_value_lie_in_this_order_head_after_head():
    """With queries 0 both tokens are averaged; head 0 sees channel 0, head 1 channel 1."""
    qkv = np.zeros((6, 2))
    qkv[2:4] = 7  # keys: without queries of no weight
    qkv[4], qkv[5] = [1, 0], [0, 10]
    shapes = {f"m/{part}/kernel": (2, 2, 1) for part in ("query", "key", "value")}
    shapes |= {f"m/{part}/bias": (2, 1) for part in ("query", "key", "value")}
    shapes |= {"m/out/kernel": (2, 1, 2), "m/out/bias": (2,)}
    rules = [
        rule
        for rule in torch_vit.vit_rules("", 1)
        if rule.name.startswith("blocks.0.attn")
    ]
    moved = [
        torch_vit.Rule(
            rule.name,
            tuple(
                path.replace("backbone/block0/attention", "m") for path in rule.paths
            ),
            rule.axes,
        )
        for rule in rules
    ]
    arrays = {
        "blocks.0.attn.qkv.weight": qkv,
        "blocks.0.attn.qkv.bias": np.array([0, 0, 5, 5, 0, 1000]),
        # Channel 0 gets head 0, channel 1 gets both.
        "blocks.0.attn.proj.weight": np.array([[1, 0], [1, 1]]),
        "blocks.0.attn.proj.bias": np.array([0, 0.5]),
    }
    x = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    out = run(Attention(2), moved, arrays, shapes, x, x)
    np.testing.assert_allclose(out, [[[2, 1032.5], [2, 1032.5]]])


def test_channels_of_a_head_are_neighbours():
    """Two heads of two channels, one channel of input."""
    path = "backbone/block0/attention"
    rules = {rule.name: rule for rule in torch_vit.vit_rules("", 1)}
    table = NameTable((rules["blocks.0.attn.qkv.weight"],), {})
    shapes = {f"{path}/{part}/kernel": (1, 2, 2) for part in ("query", "key", "value")}
    arrays = {"blocks.0.attn.qkv.weight": np.arange(12.0)[:, None]}
    flat, _ = read_names(arrays, table, shapes)
    np.testing.assert_array_equal(flat[f"{path}/query/kernel"][0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(flat[f"{path}/key/kernel"][0], [[4, 5], [6, 7]])
    np.testing.assert_array_equal(flat[f"{path}/value/kernel"][0], [[8, 9], [10, 11]])
    table = NameTable((rules["blocks.0.attn.proj.weight"],), {})
    shapes = {f"{path}/out/kernel": (2, 2, 1)}
    arrays = {"blocks.0.attn.proj.weight": np.arange(4.0)[None]}
    flat, _ = read_names(arrays, table, shapes)
    np.testing.assert_array_equal(flat[f"{path}/out/kernel"][..., 0], [[0, 1], [2, 3]])


def test_positions_are_rows_of_columns_after_the_class_slot():
    rule = next(r for r in torch_vit.vit_rules("", 0) if r.name == "pos_embed")
    arrays = {"pos_embed": np.arange(5.0)[None, :, None]}
    flat, _ = read_names(arrays, NameTable((rule,), {}), {"embed/positions": (2, 2, 1)})
    np.testing.assert_array_equal(flat["embed/positions"][..., 0], [[1, 2], [3, 4]])


def test_the_heads_mix_is_cut_level_by_level():
    rules = [
        r for r in torch_vit.head_rules() if r.name == "head.fusion_conv.conv.weight"
    ]
    weight = np.arange(16.0).reshape(2, 8, 1, 1)
    shapes = {f"decoder/mix{level}/kernel": (2, 2) for level in range(4)}
    arrays = {"head.fusion_conv.conv.weight": weight}
    flat, _ = read_names(arrays, NameTable(tuple(rules), {}), shapes)
    np.testing.assert_array_equal(flat["decoder/mix1/kernel"], [[2, 10], [3, 11]])
    np.testing.assert_array_equal(flat["decoder/mix3/kernel"], [[6, 14], [7, 15]])


@pytest.mark.parametrize(
    "table",
    [torch_vit.simpleclick_table(2, width=8, head=4), torch_vit.mae_table(2)],
)
def test_no_name_and_no_parameter_occurs_twice(table):
    names = [rule.name for rule in table.rules]
    paths = [path for rule in table.rules for path in rule.paths]
    assert len(set(names)) == len(names) and len(set(paths)) == len(paths)
    assert not set(names) & set(table.unread)


def test_what_mae_has_besides_the_encoder_is_expected(rng):
    table = torch_vit.mae_table(0)
    flat = {
        "embed/image/kernel": rng.normal(size=(2, 2, 3, 4)).astype(np.float32),
        "embed/image/bias": rng.normal(size=4).astype(np.float32),
        "embed/positions": rng.normal(size=(3, 3, 4)).astype(np.float32),
    }
    extra = ("cls_token", "mask_token", "decoder_blocks.0.norm1.weight", "norm.bias")
    extra += ("decoder_pos_embed", "fc_norm.weight", "head.weight")
    arrays = write_names(flat, table)
    assert arrays.keys() == {
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "pos_embed",
    }
    arrays |= dict.fromkeys(extra, np.zeros(1))
    shapes = {path: value.shape for path, value in flat.items()}
    found, account = read_names(arrays, table, shapes)
    assert account.unread == tuple(sorted(extra))
    for path, value in flat.items():
        np.testing.assert_array_equal(found[path], value)


def test_a_vit_is_measured_by_its_shapes():
    arrays = {
        "backbone.patch_embed.proj.weight": np.zeros((8, 3, 14, 14)),
        "backbone.pos_embed": np.zeros((1, 26, 8)),
        "backbone.blocks.0.norm1.weight": np.zeros(8),
        "backbone.blocks.0.norm1.bias": np.zeros(8),
        "backbone.blocks.10.norm1.weight": np.zeros(8),
        "decoder_blocks.30.norm1.weight": np.zeros(8),
    }
    assert torch_vit.measure_vit(arrays, "backbone.") == (8, 2, 14, 5)
    bare = {name.removeprefix("backbone."): array for name, array in arrays.items()}
    assert torch_vit.measure_mae(bare) == (8, 2, 14, 5)
    with pytest.raises(ValueError, match="27 positions, expected those of a square"):
        bad = arrays | {"backbone.pos_embed": np.zeros((1, 27, 8))}
        torch_vit.measure_vit(bad, "backbone.")
    with pytest.raises(ValueError, match=r"lacks the array patch_embed\.proj\.weight"):
        torch_vit.measure_mae(arrays)
    with pytest.raises(ValueError, match=r"pos_embed is \[3\], expected 3 axes"):
        torch_vit.measure_mae(bare | {"pos_embed": np.zeros(3)})
