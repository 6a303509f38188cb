"""Names in the checkpoints of AdaptiveClick: ViT, pixel decoder, click-aware decoder.

Checkpoints: Lin et al., AdaptiveClick: Click-aware Transformer with Adaptive Focal Loss,
arXiv 2305.04276, base and huge.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mst_jax.checkpoints.parameter_mapping import NameTable, Rule
from mst_jax.checkpoints.torch_vit import (
    axes_of,
    cell_rules,
    count_layers,
    dense_rules,
    idle_vit,
    merge_rules,
    norm_rules,
    patch_rules,
    pyramid_rules,
    vit_rules,
)

PYRAMID = "pixel_decoder.neck"
CELLS = "pixel_decoder.transformer.encoder.layers"
QUERIES = "click_aware_decoder"

# Shapes do not tell these; they are the same in both published forms.
NUM_HEADS, NUM_LEVELS, NUM_GROUPS = 8, 3, 32

# Weights of the classes (no click, click) in the loss, which lie among the arrays.
CLASS_WEIGHTS = (1.0, 0.1)


class Decoders(NamedTuple):
    """What the shapes tell of both decoders.

    Attributes:
        width: channels of both.
        pixels: fields of `PixelDecoder`.
        queries: fields of `ClickQueries`.
    """

    width: int
    pixels: dict[str, int]
    queries: dict[str, int]


def measure_decoders(arrays: Mapping[str, np.ndarray]) -> Decoders:
    """Measures both decoders.

    Raises:
        ValueError: an array that must be there is not, or has another number of axes.
    """
    num_queries, width = axes_of(arrays, f"{QUERIES}.query_feat.weight", 2)
    reads = axes_of(arrays, f"{CELLS}.0.self_attn.attention_weights.bias", 1)[0]
    thinks = f"{QUERIES}.transformer_ffn_layers"
    pixels = {
        "num_layers": count_layers(arrays, CELLS),
        "num_points": max(reads // (NUM_HEADS * NUM_LEVELS), 1),
        "hidden": axes_of(arrays, f"{CELLS}.0.linear1.weight", 2)[0],
    }
    queries = {
        "num_queries": num_queries,
        "num_layers": count_layers(arrays, thinks),
        "hidden": axes_of(arrays, f"{thinks}.0.linear1.weight", 2)[0],
    }
    return Decoders(width, pixels, queries)


def adaptiveclick_table(
    depth: int, *, width: int, num_pixel_layers: int, num_query_layers: int
) -> NameTable:
    """The whole model.

    Args:
        depth: blocks of the ViT.
        width: channels of a token.
        num_pixel_layers: layers of the pixel decoder.
        num_query_layers: layers of the click-aware decoder.
    """
    rules = (
        *vit_rules("backbone.", depth),
        *patch_rules("patch_embed_coords.proj", "embed/hints"),
        *pyramid_rules(PYRAMID, "neck/pyramid"),
        *pixel_rules(num_pixel_layers),
        *query_rules(num_query_layers),
    )
    weights = {"criterion.empty_weight": np.asarray(CLASS_WEIGHTS, np.float32)}
    return NameTable(rules, idle_vit(width) | weights)


def pixel_rules(num_layers: int) -> tuple[Rule, ...]:
    """Pixel decoder without its pyramid; the finest level's layers are there twice."""
    name = "pixel_decoder"
    vectors = ("neck/level_vectors",)
    rules = [
        Rule(f"{name}.transformer.level_embed", vectors, "l c -> l c"),
        *cell_rules(f"{name}.mask_features", "neck/features"),
    ]
    for number, scale in enumerate((32, 16, 8)):
        rules += cell_rules(f"{name}.input_proj.{number}.0", f"neck/in{scale}")
        rules += norm_rules(f"{name}.input_proj.{number}.1", f"neck/in{scale}_norm")
    for copy in ("adapter_1", "lateral_convs.0"):
        rules += cell_rules(f"{name}.{copy}.0", "neck/in4")
        rules += norm_rules(f"{name}.{copy}.1", "neck/in4_norm")
    for copy in ("layer_1", "output_convs.0"):
        rules += patch_rules(f"{name}.{copy}.0", "neck/smooth")
        rules += norm_rules(f"{name}.{copy}.1", "neck/smooth_norm")
    for number in range(num_layers):
        rules += _deformable_rules(f"{CELLS}.{number}", f"neck/layer{number}")
    return tuple(rules)


def query_rules(num_layers: int) -> tuple[Rule, ...]:
    """Click-aware decoder."""
    rules = [
        Rule(f"{QUERIES}.query_feat.weight", ("decoder/query_content",), "q c -> q c"),
        Rule(
            f"{QUERIES}.query_embed.weight", ("decoder/query_position",), "q c -> q c"
        ),
        Rule(f"{QUERIES}.level_embed.weight", ("decoder/level_vectors",), "l c -> l c"),
        *norm_rules(f"{QUERIES}.decoder_norm", "decoder/heads/norm"),
        *dense_rules(f"{QUERIES}.class_embed", "decoder/heads/class"),
    ]
    for number in range(3):
        name = f"{QUERIES}.mask_embed.layers.{number}"
        rules += dense_rules(name, f"decoder/heads/mask{number}")
    for number in range(num_layers):
        name, path = f"{QUERIES}.transformer", f"decoder/layer{number}"
        looks = f"{name}_cross_attention_layers.{number}"
        talks = f"{name}_self_attention_layers.{number}"
        thinks = f"{name}_ffn_layers.{number}"
        rules += [
            *_attention_rules(f"{looks}.multihead_attn", f"{path}/cross"),
            *norm_rules(f"{looks}.norm", f"{path}/cross_norm"),
            *_attention_rules(f"{talks}.self_attn", f"{path}/self"),
            *norm_rules(f"{talks}.norm", f"{path}/self_norm"),
            *dense_rules(f"{thinks}.linear1", f"{path}/mlp/hidden"),
            *dense_rules(f"{thinks}.linear2", f"{path}/mlp/out"),
            *norm_rules(f"{thinks}.norm", f"{path}/mlp_norm"),
        ]
    return tuple(rules)


def _deformable_rules(name: str, path: str) -> tuple[Rule, ...]:
    """A layer of the pixel decoder."""
    attention, ours = f"{name}.self_attn", f"{path}/attention"
    offsets, weights = f"{attention}.sampling_offsets", f"{attention}.attention_weights"
    kernel, bias = (f"{ours}/offsets/{part}" for part in ("kernel", "bias"))
    places = "(a l p xy)"
    return (
        Rule(f"{offsets}.weight", (kernel,), f"{places} c -> c a l p xy", False, True),
        Rule(f"{offsets}.bias", (bias,), f"{places} -> a l p xy", False, True),
        Rule(f"{weights}.weight", (f"{ours}/weights/kernel",), "(a l p) c -> c a l p"),
        Rule(f"{weights}.bias", (f"{ours}/weights/bias",), "(a l p) -> a l p"),
        Rule(
            f"{attention}.value_proj.weight",
            (f"{ours}/value/kernel",),
            "(a d) c -> c a d",
        ),
        Rule(f"{attention}.value_proj.bias", (f"{ours}/value/bias",), "(a d) -> a d"),
        *merge_rules(f"{attention}.output_proj", f"{ours}/out"),
        *norm_rules(f"{name}.norm1", f"{path}/attention_norm"),
        *dense_rules(f"{name}.linear1", f"{path}/mlp/hidden"),
        *dense_rules(f"{name}.linear2", f"{path}/mlp/out"),
        *norm_rules(f"{name}.norm2", f"{path}/mlp_norm"),
    )


def _attention_rules(name: str, path: str) -> tuple[Rule, ...]:
    """An attention whose queries, keys and values lie in one array, in this order."""
    parts = [f"{path}/{part}" for part in ("query", "key", "value")]
    kernels = tuple(f"{part}/kernel" for part in parts)
    biases = tuple(f"{part}/bias" for part in parts)
    return (
        Rule(f"{name}.in_proj_weight", kernels, "(k a d) c -> k c a d"),
        Rule(f"{name}.in_proj_bias", biases, "(k a d) -> k a d"),
        *merge_rules(f"{name}.out_proj", f"{path}/out"),
    )
