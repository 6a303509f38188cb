"""Parameter mapping of MAE and SimpleClick: ViT, pyramid, MLP head.

Checkpoints: He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022; Liu
et al., SimpleClick, ICCV 2023.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from mst_jax.checkpoints.layer_rules import (
    dense_rules,
    merge_heads_rules,
    norm_rules,
    patch_rules,
    pointwise_rules,
    qkv_rules,
    transposed_conv_rules,
)
from mst_jax.checkpoints.parameter_mapping import (
    ParameterMapping,
    ParameterRule,
    Shape,
)

# Arrays of MAE's files besides the encoder: the class token, norms and heads after the
# encoder, and the decoder.
MAE_UNUSED_ARRAYS = (
    *("cls_token", "norm.*", "fc_norm.*", "head.*", "mask_token", "decoder_*"),
)


class ViTShape(NamedTuple):
    """Sizes of a ViT, inferred from the shapes of its arrays.

    Attributes:
        width: Channels of a token.
        depth: Number of blocks.
        patch_size: Side of a patch in pixels.
        grid_side: Number of rows, and of columns, of the grid of positions.
    """

    width: int
    depth: int
    patch_size: int
    grid_side: int


def infer_vit_shape(arrays: Mapping[str, np.ndarray], prefix: str) -> ViTShape:
    """Infer the sizes of a ViT from the shapes of its arrays.

    Args:
        arrays: Name -> array of the checkpoint.
        prefix: Beginning of the names of the ViT's arrays.

    Raises:
        ValueError: There is no ViT, or its positions are not a square grid and a class
            token.
    """
    # The patch kernel is [width 3 patch patch]; positions include a class token.
    kernel_shape = shape_of_array(arrays, f"{prefix}patch_embed.proj.weight", 4)
    _, num_positions, _ = shape_of_array(arrays, f"{prefix}pos_embed", 3)
    grid_side = math.isqrt(num_positions - 1)
    if grid_side * grid_side != num_positions - 1:
        raise ValueError(
            f"it has {num_positions} positions, expected those of a square grid and one "
            "of a class token"
        )
    depth = count_layers(arrays, f"{prefix}blocks")
    return ViTShape(kernel_shape[0], depth, kernel_shape[-1], grid_side)


def count_layers(names: Iterable[str], stem: str) -> int:
    """Count the layers in names like "blocks.3.norm1.bias".

    Args:
        names: Names of arrays.
        stem: What stands before the index of a layer, such as "blocks".
    """
    # The indices, not the largest one: names may be missing in a damaged file.
    matches = (re.match(rf"{re.escape(stem)}\.(\d+)\.", name) for name in names)
    return len({match[1] for match in matches if match})


def shape_of_array(arrays: Mapping[str, np.ndarray], name: str, num_axes: int) -> Shape:
    """Return the shape of an array that must exist.

    Args:
        arrays: Name -> array of the checkpoint.
        name: Name of the array.
        num_axes: Number of axes that it must have.

    Raises:
        ValueError: It is missing, empty, or has another number of axes.
    """
    if name not in arrays:
        raise ValueError(f"it lacks the array {name}")
    shape = arrays[name].shape
    if len(shape) != num_axes or 0 in shape:
        raise ValueError(f"its {name} is {list(shape)}, expected {num_axes} axes")
    return shape


def mae_mapping(depth: int) -> ParameterMapping:
    """Return the mapping of MAE's encoder: patch embedding of the image, and blocks.

    Departure: its final norm is left out; the click models have none.

    Args:
        depth: Number of blocks.
    """
    return ParameterMapping(vit_rules("", depth), dict.fromkeys(MAE_UNUSED_ARRAYS))


def infer_mae_shape(arrays: Mapping[str, np.ndarray]) -> ViTShape:
    """Infer the sizes of MAE's encoder; see `infer_vit_shape`.

    Args:
        arrays: Name -> array of the checkpoint.
    """
    return infer_vit_shape(arrays, "")


def simpleclick_mapping(depth: int, *, width: int, head_width: int) -> ParameterMapping:
    """Return the mapping of SimpleClick's whole model.

    Args:
        depth: Number of blocks.
        width: Channels of a token.
        head_width: Channels of the MLP head.
    """
    rules = (
        *vit_rules("backbone.", depth),
        *patch_rules("patch_embed_coords.proj", "embed/hints"),
        *pyramid_rules(),
        *head_rules(),
    )
    unused_arrays = unused_vit_arrays(width) | _unused_head_arrays(head_width)
    return ParameterMapping(rules, unused_arrays)


def vit_rules(prefix: str, depth: int) -> tuple[ParameterRule, ...]:
    """Return the rules of patch embedding, positions and blocks of a ViT.

    Args:
        prefix: Beginning of the names of all its arrays.
        depth: Number of blocks.
    """
    positions = ("embed/positions",)
    rules = [
        *patch_rules(f"{prefix}patch_embed.proj", "embed/image"),
        ParameterRule(f"{prefix}pos_embed", positions, "1 (i j) c -> i j c", True),
    ]
    for block_index in range(depth):
        name, path = f"{prefix}blocks.{block_index}", f"backbone/block{block_index}"
        # Pre-norm attention, pre-norm MLP.
        rules += [
            *norm_rules(f"{name}.norm1", f"{path}/norm1"),
            *qkv_rules(f"{name}.attn.qkv.weight", f"{name}.attn.qkv.bias", path),
            *merge_heads_rules(f"{name}.attn.proj", f"{path}/attention/out"),
            *norm_rules(f"{name}.norm2", f"{path}/norm2"),
            *dense_rules(f"{name}.mlp.fc1", f"{path}/mlp/hidden"),
            *dense_rules(f"{name}.mlp.fc2", f"{path}/mlp/out"),
        ]
    return tuple(rules)


def pyramid_rules(name: str = "neck", path: str = "neck") -> tuple[ParameterRule, ...]:
    """Return the rules of the simple feature pyramid.

    Args:
        name: Beginning of the names of its arrays.
        path: Path of its parameters.
    """
    # down_N is the level of stride N; the index counts the layers that lead to it.
    return (
        *transposed_conv_rules(f"{name}.down_4.0", f"{path}/quarter"),
        *norm_rules(f"{name}.down_4.1", f"{path}/quarter_norm"),
        *transposed_conv_rules(f"{name}.down_4.3", f"{path}/quarter2"),
        *norm_rules(f"{name}.down_4.4", f"{path}/quarter2_norm"),
        *pointwise_rules(f"{name}.down_4.5", f"{path}/out4"),
        *norm_rules(f"{name}.down_4.6", f"{path}/out4_norm"),
        *transposed_conv_rules(f"{name}.down_8.0", f"{path}/eighth"),
        *norm_rules(f"{name}.down_8.1", f"{path}/eighth_norm"),
        *pointwise_rules(f"{name}.down_8.2", f"{path}/out8"),
        *norm_rules(f"{name}.down_8.3", f"{path}/out8_norm"),
        *pointwise_rules(f"{name}.down_16.0", f"{path}/out16"),
        *norm_rules(f"{name}.down_16.1", f"{path}/out16_norm"),
        *patch_rules(f"{name}.down_32.0", f"{path}/half"),
        *norm_rules(f"{name}.down_32.1", f"{path}/half_norm"),
        *pointwise_rules(f"{name}.down_32.2", f"{path}/out32"),
        *norm_rules(f"{name}.down_32.3", f"{path}/out32_norm"),
    )


def head_rules() -> tuple[ParameterRule, ...]:
    """Return the rules of the MLP head.

    The published head concatenates four levels and mixes them with one kernel; here each
    level has its own part of that kernel.
    """
    mix_kernels = tuple(f"decoder/mix{level}/kernel" for level in range(4))
    mix_name = "head.fusion_conv.conv"
    level_rules = [
        rule
        for level in range(4)
        for rule in pointwise_rules(f"head.convs.{level}.conv", f"decoder/level{level}")
    ]
    return (
        *level_rules,
        ParameterRule(f"{mix_name}.weight", mix_kernels, "d (k c) 1 1 -> k c d"),
        ParameterRule(f"{mix_name}.bias", ("decoder/mix0/bias",), "d -> d"),
        *pointwise_rules("head.conv_seg", "decoder/logits"),
    )


def unused_vit_arrays(width: int) -> dict[str, np.ndarray]:
    """Return zeros for what the click models' ViTs never use: class token, 1000 classes.

    Args:
        width: Channels of a token.
    """
    return _zero_arrays(
        {
            "backbone.cls_token": (1, 1, width),
            "backbone.fc_norm.weight": (width,),
            "backbone.fc_norm.bias": (width,),
            "backbone.head.weight": (1000, width),
            "backbone.head.bias": (1000,),
        }
    )


def _unused_head_arrays(head_width: int) -> dict[str, np.ndarray]:
    """Return zeros for two steps of upsampling that the MLP head does not use."""
    shapes: dict[str, Shape] = {}
    # Each step halves the channels: transposed convolution, norm, 1x1 convolution, norm.
    for step, in_width, out_width in (
        (1, head_width, head_width // 2),
        (2, head_width // 2, head_width // 4),
    ):
        name = f"head.up_conv{step}"
        shapes |= {
            f"{name}.0.weight": (in_width, out_width, 2, 2),
            f"{name}.2.weight": (out_width, out_width, 1, 1),
            f"{name}.1.weight": (out_width,),
            f"{name}.3.weight": (out_width,),
        }
        shapes |= {f"{name}.{index}.bias": (out_width,) for index in range(4)}
    return _zero_arrays(shapes)


def _zero_arrays(shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
