"""Parameter mapping of AdaptiveClick: ViT, pixel decoder, click-aware decoder.

Checkpoints: Lin et al., AdaptiveClick: Click-aware Transformer with Adaptive Focal Loss,
arXiv 2305.04276, base and huge.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mst_jax.checkpoints.layer_rules import (
    dense_rules,
    merge_heads_rules,
    norm_rules,
    patch_rules,
    pointwise_rules,
    qkv_rules,
)
from mst_jax.checkpoints.parameter_mapping import ParameterMapping, ParameterRule
from mst_jax.checkpoints.torch_vit import (
    count_layers,
    pyramid_rules,
    shape_of_array,
    unused_vit_arrays,
    vit_rules,
)

# Beginnings of names in the published program.
PYRAMID_NAME = "pixel_decoder.neck"
ENCODER_NAME = "pixel_decoder.transformer.encoder.layers"
DECODER_NAME = "click_aware_decoder"

# These do not follow from shapes; they are equal in both published forms.
NUM_HEADS, NUM_LEVELS, NUM_GROUPS = 8, 3, 32

# Weights of the classes (not clicked, clicked) in the loss, stored among the arrays.
CLASS_WEIGHTS = (1.0, 0.1)


class DecoderShapes(NamedTuple):
    """Sizes of both decoders, inferred from the shapes of their arrays.

    Attributes:
        width: Channels of both decoders.
        pixel_fields: Fields of `PixelDecoder`.
        query_fields: Fields of the click-aware decoder.
    """

    width: int
    pixel_fields: dict[str, int]
    query_fields: dict[str, int]


def infer_decoder_shapes(arrays: Mapping[str, np.ndarray]) -> DecoderShapes:
    """Infer the sizes of both decoders from the shapes of their arrays.

    Args:
        arrays: Name -> array of the checkpoint.

    Raises:
        ValueError: An array is missing, or has another number of axes.
    """
    num_queries, width = shape_of_array(arrays, f"{DECODER_NAME}.query_feat.weight", 2)
    # One attention weight for each head, level and sampled point.
    weights_name = f"{ENCODER_NAME}.0.self_attn.attention_weights.bias"
    num_weights = shape_of_array(arrays, weights_name, 1)[0]
    pixel_mlp_name = f"{ENCODER_NAME}.0.linear1.weight"
    query_mlp_stem = f"{DECODER_NAME}.transformer_ffn_layers"
    query_mlp_name = f"{query_mlp_stem}.0.linear1.weight"
    pixel_fields = {
        "num_layers": count_layers(arrays, ENCODER_NAME),
        "num_points": max(num_weights // (NUM_HEADS * NUM_LEVELS), 1),
        "mlp_hidden": shape_of_array(arrays, pixel_mlp_name, 2)[0],
    }
    query_fields = {
        "num_queries": num_queries,
        "num_layers": count_layers(arrays, query_mlp_stem),
        "mlp_hidden": shape_of_array(arrays, query_mlp_name, 2)[0],
    }
    return DecoderShapes(width, pixel_fields, query_fields)


def adaptiveclick_mapping(
    depth: int, *, width: int, num_pixel_layers: int, num_query_layers: int
) -> ParameterMapping:
    """Return the mapping of AdaptiveClick's whole model.

    Args:
        depth: Number of blocks of the ViT.
        width: Channels of a token.
        num_pixel_layers: Number of layers of the pixel decoder.
        num_query_layers: Number of layers of the click-aware decoder.
    """
    rules = (
        *vit_rules("backbone.", depth),
        *patch_rules("patch_embed_coords.proj", "embed/hints"),
        *pyramid_rules(PYRAMID_NAME, "neck/pyramid"),
        *pixel_decoder_rules(num_pixel_layers),
        *query_decoder_rules(num_query_layers),
    )
    class_weights = np.asarray(CLASS_WEIGHTS, np.float32)
    return ParameterMapping(
        rules, unused_vit_arrays(width) | {"criterion.empty_weight": class_weights}
    )


def pixel_decoder_rules(num_layers: int) -> tuple[ParameterRule, ...]:
    """Return the rules of the pixel decoder without its pyramid.

    Args:
        num_layers: Number of its layers.
    """
    name = "pixel_decoder"
    level_name = f"{name}.transformer.level_embed"
    rules = [
        # One learned vector for each level.
        ParameterRule(level_name, ("neck/level_vectors",), "l c -> l c"),
        *pointwise_rules(f"{name}.mask_features", "neck/features"),
    ]
    # Input projections, coarsest level first.
    for index, stride in enumerate((32, 16, 8)):
        rules += pointwise_rules(f"{name}.input_proj.{index}.0", f"neck/in{stride}")
        rules += norm_rules(f"{name}.input_proj.{index}.1", f"neck/in{stride}_norm")
    # The published program stores the layers of the finest level under two names.
    for copy_name in ("adapter_1", "lateral_convs.0"):
        rules += pointwise_rules(f"{name}.{copy_name}.0", "neck/in4")
        rules += norm_rules(f"{name}.{copy_name}.1", "neck/in4_norm")
    for copy_name in ("layer_1", "output_convs.0"):
        rules += patch_rules(f"{name}.{copy_name}.0", "neck/smooth")
        rules += norm_rules(f"{name}.{copy_name}.1", "neck/smooth_norm")
    for index in range(num_layers):
        rules += _deformable_layer_rules(
            f"{ENCODER_NAME}.{index}", f"neck/layer{index}"
        )
    return tuple(rules)


def query_decoder_rules(num_layers: int) -> tuple[ParameterRule, ...]:
    """Return the rules of the click-aware decoder.

    Args:
        num_layers: Number of its layers.
    """
    rules = [
        _embedding_rule("query_feat", "decoder/query_content", "q c -> q c"),
        _embedding_rule("query_embed", "decoder/query_position", "q c -> q c"),
        _embedding_rule("level_embed", "decoder/level_vectors", "l c -> l c"),
        *norm_rules(f"{DECODER_NAME}.decoder_norm", "decoder/heads/norm"),
        *dense_rules(f"{DECODER_NAME}.class_embed", "decoder/heads/class"),
    ]
    # The MLP that turns queries into mask embeddings.
    for index in range(3):
        mask_name = f"{DECODER_NAME}.mask_embed.layers.{index}"
        rules += dense_rules(mask_name, f"decoder/heads/mask{index}")
    for index in range(num_layers):
        name, path = f"{DECODER_NAME}.transformer", f"decoder/layer{index}"
        cross_name = f"{name}_cross_attention_layers.{index}"
        self_name = f"{name}_self_attention_layers.{index}"
        mlp_name = f"{name}_ffn_layers.{index}"
        # In the order of computation: cross-attention, self-attention, MLP.
        rules += [
            *_attention_rules(f"{cross_name}.multihead_attn", path, "cross"),
            *norm_rules(f"{cross_name}.norm", f"{path}/cross_norm"),
            *_attention_rules(f"{self_name}.self_attn", path, "self"),
            *norm_rules(f"{self_name}.norm", f"{path}/self_norm"),
            *dense_rules(f"{mlp_name}.linear1", f"{path}/mlp/hidden"),
            *dense_rules(f"{mlp_name}.linear2", f"{path}/mlp/out"),
            *norm_rules(f"{mlp_name}.norm", f"{path}/mlp_norm"),
        ]
    return tuple(rules)


def _embedding_rule(name: str, path: str, axes: str) -> ParameterRule:
    return ParameterRule(f"{DECODER_NAME}.{name}.weight", (path,), axes)


def _deformable_layer_rules(name: str, path: str) -> tuple[ParameterRule, ...]:
    """Return the rules of a layer of the pixel decoder."""
    attention_name, attention_path = f"{name}.self_attn", f"{path}/attention"
    return (
        *_sampling_rules(attention_name, attention_path),
        *merge_heads_rules(f"{attention_name}.output_proj", f"{attention_path}/out"),
        *norm_rules(f"{name}.norm1", f"{path}/attention_norm"),
        *dense_rules(f"{name}.linear1", f"{path}/mlp/hidden"),
        *dense_rules(f"{name}.linear2", f"{path}/mlp/out"),
        *norm_rules(f"{name}.norm2", f"{path}/mlp_norm"),
    )


def _sampling_rules(name: str, path: str) -> tuple[ParameterRule, ...]:
    """Return the rules of deformable attention before its output projection."""
    # (array, parameters, grouped axes of the array, axes of the parameter, ends in xy):
    # heads a, levels l, points p, channels of a head d.
    projections = (
        ("sampling_offsets", "offsets", "(a l p xy)", "a l p xy", True),
        ("attention_weights", "weights", "(a l p)", "a l p", False),
        ("value_proj", "value", "(a d)", "a d", False),
    )
    rules = []
    for array_name, part, grouped_axes, split_axes, ends_in_xy in projections:
        kernel, bias = f"{path}/{part}/kernel", f"{path}/{part}/bias"
        rules += [
            ParameterRule(
                f"{name}.{array_name}.weight",
                (kernel,),
                f"{grouped_axes} c -> c {split_axes}",
                ends_in_xy=ends_in_xy,
            ),
            ParameterRule(
                f"{name}.{array_name}.bias",
                (bias,),
                f"{grouped_axes} -> {split_axes}",
                ends_in_xy=ends_in_xy,
            ),
        ]
    return tuple(rules)


def _attention_rules(name: str, path: str, attention: str) -> tuple[ParameterRule, ...]:
    """Return the rules of PyTorch's `MultiheadAttention`."""
    weight_name, bias_name = f"{name}.in_proj_weight", f"{name}.in_proj_bias"
    return (
        *qkv_rules(weight_name, bias_name, path, attention=attention),
        *merge_heads_rules(f"{name}.out_proj", f"{path}/{attention}/out"),
    )
