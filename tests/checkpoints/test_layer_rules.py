"""Each converted layer computes in our modules what PyTorch computes."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from mst_jax.checkpoints import layer_rules, torch_vit
from mst_jax.checkpoints.parameter_mapping import ParameterMapping, params_from_arrays
from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.patch_embed import PatchEmbed
from mst_jax.necks.simple_pyramid import Upsample2x


def apply_converted(module, rules, arrays, shapes, *inputs):
    """Apply a module with parameters converted from a checkpoint's arrays."""
    flat_params, _ = params_from_arrays(
        arrays, ParameterMapping(tuple(rules), {}), shapes
    )
    return module.apply({"params": unflatten_dict(flat_params, sep="/")["m"]}, *inputs)


def test_linear_layer_multiplies_its_rows_with_the_input():
    arrays = {
        "fc.weight": np.array([[1, 2], [3, 4], [5, 6]]),
        "fc.bias": np.array([0, 0, 100]),
    }
    shapes = {"m/kernel": (2, 3), "m/bias": (3,)}
    x = jnp.array([[1.0, 10.0]])
    expected = [[21, 43, 165]]
    rules = layer_rules.dense_rules("fc", "m")
    out = apply_converted(nn.Dense(3), rules, arrays, shapes, x)
    np.testing.assert_array_equal(out, expected)
    cells = arrays | {"fc.weight": arrays["fc.weight"][:, :, None, None]}
    rules = layer_rules.pointwise_rules("fc", "m")
    out = apply_converted(nn.Dense(3), rules, cells, shapes, x)
    np.testing.assert_array_equal(out, expected)


def test_convolution_has_channels_first():
    """Output 0 picks row 0, column 1, channel 2; output 1 row 1, column 0, channel 0."""
    weight = np.zeros((2, 3, 2, 2))
    weight[0, 2, 0, 1] = weight[1, 0, 1, 0] = 1
    image = np.arange(12.0, dtype=np.float32).reshape(1, 2, 2, 3)
    out = apply_converted(
        PatchEmbed(2, 2),
        layer_rules.patch_rules("proj", "m"),
        {"proj.weight": weight, "proj.bias": np.zeros(2)},
        {"m/kernel": (2, 2, 3, 2), "m/bias": (2,)},
        jnp.asarray(image),
    )
    np.testing.assert_array_equal(out[0, 0, 0], [image[0, 0, 1, 2], image[0, 1, 0, 0]])


def test_transposed_convolution_has_input_channels_first():
    weight = np.zeros((2, 1, 2, 2))
    weight[0, 0] = [[1, 2], [3, 4]]
    weight[1, 0] = [[0, 0], [0, 100]]
    out = apply_converted(
        Upsample2x(1),
        layer_rules.transposed_conv_rules("up", "m"),
        {"up.weight": weight, "up.bias": np.array([0.5])},
        {"m/kernel/kernel": (2, 2, 2, 1), "m/bias": (1,)},
        jnp.array([[[[1.0, 1.0], [10.0, 0.0]]]]),
    )
    np.testing.assert_array_equal(
        out[0, :, :, 0], [[1.5, 2.5, 10.5, 20.5], [3.5, 104.5, 30.5, 40.5]]
    )


def test_query_key_and_value_are_stacked_head_by_head():
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
        if rule.array_name.startswith("blocks.0.attn")
    ]
    moved = []
    for rule in rules:
        paths = (p.replace("backbone/block0/attention", "m") for p in rule.param_paths)
        moved.append(dataclasses.replace(rule, param_paths=tuple(paths)))
    arrays = {
        "blocks.0.attn.qkv.weight": qkv,
        "blocks.0.attn.qkv.bias": np.array([0, 0, 5, 5, 0, 1000]),
        # Channel 0 gets head 0, channel 1 gets both.
        "blocks.0.attn.proj.weight": np.array([[1, 0], [1, 1]]),
        "blocks.0.attn.proj.bias": np.array([0, 0.5]),
    }
    x = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    out = apply_converted(MultiHeadAttention(2), moved, arrays, shapes, x, x)
    np.testing.assert_allclose(out, [[[2, 1032.5], [2, 1032.5]]])
