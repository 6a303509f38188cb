"""Each converted array has the effect in our modules that it has in PyTorch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from mst_jax.checkpoints.parameter_mapping import (
    ParameterMapping,
    arrays_from_params,
    params_from_arrays,
)
from mst_jax.checkpoints.torch_adaptiveclick import (
    adaptiveclick_mapping,
    infer_decoder_shapes,
    pixel_decoder_rules,
    query_decoder_rules,
)
from mst_jax.layers.attention import MultiHeadAttention
from mst_jax.layers.deformable_attention import DeformableAttention, cell_centers

DEFORMABLE = "pixel_decoder.transformer.encoder.layers.0.self_attn"
PARTS = ("weight", "bias")
STORED_TWICE = {"neck/in4", "neck/in4_norm", "neck/smooth", "neck/smooth_norm"}


def read_params(rules, prefixes, arrays, shapes):
    """Read arrays whose names, and parameters whose paths, begin with a prefix each."""
    name, path = prefixes
    arrays = {f"{name}.{key}": np.asarray(array) for key, array in arrays.items()}
    shapes = {f"{path}/{key}": shape for key, shape in shapes.items()}
    rules = tuple(rule for rule in rules if rule.array_name in arrays)
    flat_params, _ = params_from_arrays(arrays, ParameterMapping(rules, {}), shapes)
    return unflatten_dict(
        {key.removeprefix(f"{path}/"): value for key, value in flat_params.items()},
        sep="/",
    )


def test_sampling_offset_is_a_column_and_a_row():
    """One head, two levels, one point; the second level is read one cell to the left."""
    arrays = {
        "sampling_offsets.weight": np.zeros((4, 1)),
        "sampling_offsets.bias": [0, 0, -1, 0],
        "attention_weights.weight": np.zeros((2, 1)),
        # The softmax gives the second level all.
        "attention_weights.bias": [0, 100],
        "value_proj.weight": [[2]],
        "value_proj.bias": [0.5],
        "output_proj.weight": [[10]],
        "output_proj.bias": [1000],
    }
    module, sizes = DeformableAttention(num_heads=1, num_points=1), ((1, 1), (2, 2))
    memory = jnp.array([9.0, 1, 2, 3, 4])[None, :, None]
    given = dict(reference_points_yx=cell_centers(sizes), level_sizes=sizes)
    kernels = {"offsets": (1, 1, 2, 1, 2), "weights": (1, 1, 2, 1), "value": (1, 1, 1)}
    shapes = {f"{part}/kernel": shape for part, shape in kernels.items()}
    shapes |= {f"{part}/bias": shape[1:] for part, shape in kernels.items()}
    shapes |= {"out/kernel": (1, 1, 1), "out/bias": (1,)}
    prefix = (DEFORMABLE, "neck/layer0/attention")
    params = read_params(pixel_decoder_rules(1), prefix, arrays, shapes)
    apply = jax.jit(partial(module.apply, **given))
    out = apply({"params": params}, memory, memory)
    # Left of the upper right cell lies 1, left of the lower right cell 3; 0 outside.
    np.testing.assert_allclose(out[0, 1:, 0], [1000, 1025, 1000, 1065], atol=1e-3)


def test_sampling_offsets_are_ordered_by_heads_levels_and_points():
    """Two heads, three levels, two points: their indices in the array."""
    prefix = (DEFORMABLE, "neck/layer0/attention")
    arrays = {
        "sampling_offsets.bias": np.arange(24),
        "attention_weights.bias": np.arange(12),
        "value_proj.bias": np.arange(6),
    }
    shapes = {
        "offsets/bias": (2, 3, 2, 2),
        "weights/bias": (2, 3, 2),
        "value/bias": (2, 3),
    }
    params = read_params(pixel_decoder_rules(1), prefix, arrays, shapes)
    offsets = params["offsets"]["bias"]
    # Rows have the odd numbers.
    np.testing.assert_array_equal(offsets[0, :, :, 0], [[1, 3], [5, 7], [9, 11]])
    np.testing.assert_array_equal(offsets[1, :, :, 1], [[12, 14], [16, 18], [20, 22]])
    np.testing.assert_array_equal(params["weights"]["bias"][1, 0], [6, 7])
    np.testing.assert_array_equal(params["value"]["bias"], [[0, 1, 2], [3, 4, 5]])
    arrays = {name.replace("bias", "weight"): a[:, None] for name, a in arrays.items()}
    shapes = {k.replace("bias", "kernel"): (1, *s) for k, s in shapes.items()}
    wide = read_params(pixel_decoder_rules(1), prefix, arrays, shapes)
    for part, leaves in params.items():
        np.testing.assert_array_equal(wide[part]["kernel"][0], leaves["bias"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cross_attention_layers.0.multihead_attn", "cross"),
        ("self_attention_layers.0.self_attn", "self"),
    ],
)
def test_query_key_and_value_are_thirds_of_one_array(name, path):
    """With queries 0 both tokens are averaged; head 0 sees channel 0, head 1 channel 1."""
    arrays = {
        "in_proj_weight": [[0, 0], [0, 0], [7, 7], [7, 7], [1, 0], [0, 10]],
        "in_proj_bias": [0, 0, 5, 5, 0, 1000],
        "out_proj.weight": [[1, 0], [1, 1]],
        "out_proj.bias": [0, 0.5],
    }
    shapes = {f"{part}/kernel": (2, 2, 1) for part in ("query", "key", "value")}
    shapes |= {f"{part}/bias": (2, 1) for part in ("query", "key", "value")}
    shapes |= {"out/kernel": (2, 1, 2), "out/bias": (2,)}
    prefix = (f"click_aware_decoder.transformer_{name}", f"decoder/layer0/{path}")
    params = read_params(query_decoder_rules(1), prefix, arrays, shapes)
    assert not params["query"]["kernel"].any() and (params["key"]["bias"] == 5).all()
    x = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    out = MultiHeadAttention(2).apply({"params": params}, x, x)
    np.testing.assert_allclose(out, [[[2, 1032.5], [2, 1032.5]]])


# Published name of a layer -> path of its parameters, type of the layer.
LAYERS = {
    "pixel_decoder.input_proj.0.0": ("neck/in32", "pointwise"),
    "pixel_decoder.input_proj.0.1": ("neck/in32_norm", "norm"),
    "pixel_decoder.input_proj.1.0": ("neck/in16", "pointwise"),
    "pixel_decoder.input_proj.1.1": ("neck/in16_norm", "norm"),
    "pixel_decoder.input_proj.2.0": ("neck/in8", "pointwise"),
    "pixel_decoder.input_proj.2.1": ("neck/in8_norm", "norm"),
    "pixel_decoder.adapter_1.0": ("neck/in4", "pointwise"),
    "pixel_decoder.adapter_1.1": ("neck/in4_norm", "norm"),
    "pixel_decoder.output_convs.0.0": ("neck/smooth", "patch"),
    "pixel_decoder.output_convs.0.1": ("neck/smooth_norm", "norm"),
    "pixel_decoder.mask_features": ("neck/features", "pointwise"),
    "pixel_decoder.transformer.encoder.layers.1.norm1": (
        "neck/layer1/attention_norm",
        "norm",
    ),
    "pixel_decoder.transformer.encoder.layers.1.linear1": (
        "neck/layer1/mlp/hidden",
        "dense",
    ),
    "pixel_decoder.transformer.encoder.layers.1.linear2": (
        "neck/layer1/mlp/out",
        "dense",
    ),
    "pixel_decoder.transformer.encoder.layers.1.norm2": (
        "neck/layer1/mlp_norm",
        "norm",
    ),
    "pixel_decoder.neck.down_4.0": ("neck/pyramid/quarter", "enlarge"),
    "pixel_decoder.neck.down_8.3": ("neck/pyramid/out8_norm", "norm"),
    "pixel_decoder.neck.down_16.0": ("neck/pyramid/out16", "pointwise"),
    "pixel_decoder.neck.down_32.0": ("neck/pyramid/half", "patch"),
    "click_aware_decoder.decoder_norm": ("decoder/heads/norm", "norm"),
    "click_aware_decoder.class_embed": ("decoder/heads/class", "dense"),
    "click_aware_decoder.mask_embed.layers.0": ("decoder/heads/mask0", "dense"),
    "click_aware_decoder.mask_embed.layers.1": ("decoder/heads/mask1", "dense"),
    "click_aware_decoder.mask_embed.layers.2": ("decoder/heads/mask2", "dense"),
    "click_aware_decoder.transformer_cross_attention_layers.2.norm": (
        "decoder/layer2/cross_norm",
        "norm",
    ),
    "click_aware_decoder.transformer_self_attention_layers.2.norm": (
        "decoder/layer2/self_norm",
        "norm",
    ),
    "click_aware_decoder.transformer_ffn_layers.2.norm": (
        "decoder/layer2/mlp_norm",
        "norm",
    ),
    "click_aware_decoder.transformer_ffn_layers.2.linear1": (
        "decoder/layer2/mlp/hidden",
        "dense",
    ),
    "click_aware_decoder.transformer_ffn_layers.2.linear2": (
        "decoder/layer2/mlp/out",
        "dense",
    ),
}
LAYER_TYPES = {
    "pointwise": ("kernel", (3, 2), (2, 3, 1, 1)),
    "dense": ("kernel", (3, 2), (2, 3)),
    "patch": ("kernel", (2, 2, 3, 2), (2, 3, 2, 2)),
    "enlarge": ("kernel/kernel", (3, 2, 2, 2), (3, 2, 2, 2)),
    "norm": ("norm/scale", (2,), (2,)),
}


def test_every_published_name_is_converted_to_its_layer():
    """Each layer has its own value: a swap would be found."""
    flat_params, expected = {}, {}

    def add(path, shape, name, published_shape):
        flat_params[path] = np.full(shape, len(expected), np.float32)
        expected[name] = np.full(published_shape, len(expected), np.float32)

    for name, (path, layer_type) in LAYERS.items():
        leaf, our_shape, published_shape = LAYER_TYPES[layer_type]
        add(f"{path}/{leaf}", our_shape, f"{name}.weight", published_shape)
        bias = "norm/bias" if layer_type == "norm" else "bias"
        add(f"{path}/{bias}", (2,), f"{name}.bias", (2,))
    decoder = "click_aware_decoder"
    for path, name in (
        ("neck/level_vectors", "pixel_decoder.transformer.level_embed"),
        ("decoder/level_vectors", f"{decoder}.level_embed.weight"),
        ("decoder/query_content", f"{decoder}.query_feat.weight"),
        ("decoder/query_position", f"{decoder}.query_embed.weight"),
    ):
        add(path, (3, 2), name, (3, 2))
    mapping = adaptiveclick_mapping(0, width=2, num_pixel_layers=2, num_query_layers=3)
    found = arrays_from_params(flat_params, ParameterMapping(mapping.rules, {}))
    copies = ("pixel_decoder.lateral_convs.0", "pixel_decoder.layer_1")
    assert found.keys() - expected.keys() == {
        f"{copy}.{n}.{part}" for copy in copies for n in (0, 1) for part in PARTS
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_only_the_finest_level_is_stored_twice():
    mapping = adaptiveclick_mapping(2, width=8, num_pixel_layers=2, num_query_layers=3)
    names = [rule.array_name for rule in mapping.rules]
    assert len(set(names)) == len(names) and not set(names) & set(mapping.unused_arrays)
    paths = [path for rule in mapping.rules for path in rule.param_paths]
    twice = {path for path in paths if paths.count(path) > 1}
    assert {"/".join(path.split("/")[:2]) for path in twice} == STORED_TWICE


def test_class_weights_of_the_loss_are_written_as_published():
    mapping = adaptiveclick_mapping(0, width=2, num_pixel_layers=0, num_query_layers=0)
    weights = arrays_from_params({}, ParameterMapping((), mapping.unused_arrays))[
        "criterion.empty_weight"
    ]
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, np.array([1, 0.1], "f4"))


def test_decoder_shapes_are_inferred_from_arrays():
    layers = "pixel_decoder.transformer.encoder.layers"
    query_mlp = "click_aware_decoder.transformer_ffn_layers"
    arrays = {
        "click_aware_decoder.query_feat.weight": np.zeros((5, 32)),
        f"{layers}.0.self_attn.attention_weights.bias": np.zeros(8 * 3 * 2),
        f"{layers}.0.linear1.weight": np.zeros((12, 32)),
        f"{layers}.1.linear1.weight": np.zeros((12, 32)),
        f"{query_mlp}.0.linear1.weight": np.zeros((14, 32)),
        f"{query_mlp}.10.linear1.weight": np.zeros((14, 32)),
        f"{query_mlp}.2.linear1.weight": np.zeros((14, 32)),
    }
    width, pixel_fields, query_fields = infer_decoder_shapes(arrays)
    assert width == 32
    assert pixel_fields == {"num_layers": 2, "num_points": 2, "mlp_hidden": 12}
    assert query_fields == {"num_queries": 5, "num_layers": 3, "mlp_hidden": 14}
    del arrays[f"{layers}.0.linear1.weight"]
    with pytest.raises(ValueError, match=r"lacks the array .*layers\.0\.linear1"):
        infer_decoder_shapes(arrays)
