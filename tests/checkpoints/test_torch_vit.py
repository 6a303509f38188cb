import numpy as np
import pytest

from mst_jax.checkpoints import torch_vit
from mst_jax.checkpoints.parameter_mapping import (
    ParameterMapping,
    arrays_from_params,
    params_from_arrays,
)


def test_channels_of_a_head_are_adjacent():
    """Two heads of two channels, one channel of input."""
    path = "backbone/block0/attention"
    rules = {rule.array_name: rule for rule in torch_vit.vit_rules("", 1)}
    mapping = ParameterMapping((rules["blocks.0.attn.qkv.weight"],), {})
    shapes = {f"{path}/{part}/kernel": (1, 2, 2) for part in ("query", "key", "value")}
    arrays = {"blocks.0.attn.qkv.weight": np.arange(12.0)[:, None]}
    flat_params, _ = params_from_arrays(arrays, mapping, shapes)
    np.testing.assert_array_equal(
        flat_params[f"{path}/query/kernel"][0], [[0, 1], [2, 3]]
    )
    np.testing.assert_array_equal(
        flat_params[f"{path}/key/kernel"][0], [[4, 5], [6, 7]]
    )
    np.testing.assert_array_equal(
        flat_params[f"{path}/value/kernel"][0], [[8, 9], [10, 11]]
    )
    mapping = ParameterMapping((rules["blocks.0.attn.proj.weight"],), {})
    shapes = {f"{path}/out/kernel": (2, 2, 1)}
    arrays = {"blocks.0.attn.proj.weight": np.arange(4.0)[None]}
    flat_params, _ = params_from_arrays(arrays, mapping, shapes)
    np.testing.assert_array_equal(
        flat_params[f"{path}/out/kernel"][..., 0], [[0, 1], [2, 3]]
    )


def test_positions_follow_the_class_token_row_by_row():
    rule = next(
        rule for rule in torch_vit.vit_rules("", 0) if rule.array_name == "pos_embed"
    )
    arrays = {"pos_embed": np.arange(5.0)[None, :, None]}
    flat_params, _ = params_from_arrays(
        arrays, ParameterMapping((rule,), {}), {"embed/positions": (2, 2, 1)}
    )
    np.testing.assert_array_equal(
        flat_params["embed/positions"][..., 0], [[1, 2], [3, 4]]
    )


def test_mix_kernel_is_split_by_level():
    rules = [
        rule
        for rule in torch_vit.head_rules()
        if rule.array_name == "head.fusion_conv.conv.weight"
    ]
    weight = np.arange(16.0).reshape(2, 8, 1, 1)
    shapes = {f"decoder/mix{level}/kernel": (2, 2) for level in range(4)}
    arrays = {"head.fusion_conv.conv.weight": weight}
    flat_params, _ = params_from_arrays(
        arrays, ParameterMapping(tuple(rules), {}), shapes
    )
    np.testing.assert_array_equal(
        flat_params["decoder/mix1/kernel"], [[2, 10], [3, 11]]
    )
    np.testing.assert_array_equal(
        flat_params["decoder/mix3/kernel"], [[6, 14], [7, 15]]
    )


@pytest.mark.parametrize(
    "mapping",
    [torch_vit.simpleclick_mapping(2, width=8, head_width=4), torch_vit.mae_mapping(2)],
)
def test_no_name_or_parameter_occurs_twice(mapping):
    names = [rule.array_name for rule in mapping.rules]
    paths = [path for rule in mapping.rules for path in rule.param_paths]
    assert len(set(names)) == len(names) and len(set(paths)) == len(paths)
    assert not set(names) & set(mapping.unused_arrays)


def test_arrays_of_mae_besides_the_encoder_are_unused(rng):
    mapping = torch_vit.mae_mapping(0)
    flat_params = {
        "embed/image/kernel": rng.normal(size=(2, 2, 3, 4)).astype(np.float32),
        "embed/image/bias": rng.normal(size=4).astype(np.float32),
        "embed/positions": rng.normal(size=(3, 3, 4)).astype(np.float32),
    }
    extra = ("cls_token", "mask_token", "decoder_blocks.0.norm1.weight", "norm.bias")
    extra += ("decoder_pos_embed", "fc_norm.weight", "head.weight")
    arrays = arrays_from_params(flat_params, mapping)
    assert arrays.keys() == {
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "pos_embed",
    }
    arrays |= dict.fromkeys(extra, np.zeros(1))
    shapes = {path: value.shape for path, value in flat_params.items()}
    found, report = params_from_arrays(arrays, mapping, shapes)
    assert report.unused_arrays == tuple(sorted(extra))
    for path, value in flat_params.items():
        np.testing.assert_array_equal(found[path], value)


def test_vit_shape_is_inferred_from_arrays():
    arrays = {
        "backbone.patch_embed.proj.weight": np.zeros((8, 3, 14, 14)),
        "backbone.pos_embed": np.zeros((1, 26, 8)),
        "backbone.blocks.0.norm1.weight": np.zeros(8),
        "backbone.blocks.0.norm1.bias": np.zeros(8),
        "backbone.blocks.10.norm1.weight": np.zeros(8),
        "decoder_blocks.30.norm1.weight": np.zeros(8),
    }
    assert torch_vit.infer_vit_shape(arrays, "backbone.") == (8, 2, 14, 5)
    mae_arrays = {
        name.removeprefix("backbone."): array for name, array in arrays.items()
    }
    assert torch_vit.infer_mae_shape(mae_arrays) == (8, 2, 14, 5)
    with pytest.raises(ValueError, match="27 positions, expected those of a square"):
        bad = arrays | {"backbone.pos_embed": np.zeros((1, 27, 8))}
        torch_vit.infer_vit_shape(bad, "backbone.")
    with pytest.raises(ValueError, match=r"lacks the array patch_embed\.proj\.weight"):
        torch_vit.infer_mae_shape(arrays)
    with pytest.raises(ValueError, match=r"pos_embed is \[3\], expected 3 axes"):
        torch_vit.infer_mae_shape(mae_arrays | {"pos_embed": np.zeros(3)})
