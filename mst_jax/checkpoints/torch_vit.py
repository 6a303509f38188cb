"""Names in the checkpoints of MAE and SimpleClick: ViT, pyramid, MLP head.

Checkpoints: He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022; Liu
et al., SimpleClick, ICCV 2023.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from mst_jax.checkpoints.parameter_mapping import NameTable, Rule, Shape

# What MAE's files hold besides the encoder: the class token, norms and heads that came
# after it, and the decoder.
MAE_UNREAD = ("cls_token", "norm.*", "fc_norm.*", "head.*", "mask_token", "decoder_*")


class Measures(NamedTuple):
    """What the shapes tell of a ViT.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        patch: side of a patch in pixels.
        side: rows, and columns, of the grid of positions.
    """

    width: int
    depth: int
    patch: int
    side: int


def measure_vit(arrays: Mapping[str, np.ndarray], prefix: str) -> Measures:
    """Measures the ViT whose names begin with `prefix`.

    Raises:
        ValueError: there is none, or its positions are no square with a class slot.
    """
    kernel = axes_of(arrays, f"{prefix}patch_embed.proj.weight", 4)
    _, num_positions, _ = axes_of(arrays, f"{prefix}pos_embed", 3)
    side = math.isqrt(num_positions - 1)
    if side * side != num_positions - 1:
        raise ValueError(
            f"it has {num_positions} positions, expected those of a square grid and one "
            "of a class token"
        )
    depth = count_layers(arrays, f"{prefix}blocks")
    return Measures(kernel[0], depth, kernel[-1], side)


def count_layers(names: Iterable[str], stem: str) -> int:
    """Number of layers in names like "blocks.3.norm1.bias", whose stem is "blocks"."""
    found = (re.match(rf"{re.escape(stem)}\.(\d+)\.", name) for name in names)
    return len({match[1] for match in found if match})


def axes_of(arrays: Mapping[str, np.ndarray], name: str, num_axes: int) -> Shape:
    """Shape of an array that must be there.

    Raises:
        ValueError: it is missing, empty, or has another number of axes.
    """
    if name not in arrays:
        raise ValueError(f"it lacks the array {name}")
    shape = arrays[name].shape
    if len(shape) != num_axes or 0 in shape:
        raise ValueError(f"its {name} is {list(shape)}, expected {num_axes} axes")
    return shape


def mae_table(depth: int) -> NameTable:
    """The encoder of MAE: a start for the image's embedding and for the blocks.

    Departure: its final norm is left out; the click models have none.
    """
    return NameTable(vit_rules("", depth), dict.fromkeys(MAE_UNREAD))


def measure_mae(arrays: Mapping[str, np.ndarray]) -> Measures:
    """Measures the encoder of MAE; see `measure_vit`."""
    return measure_vit(arrays, "")


def simpleclick_table(depth: int, *, width: int, head: int) -> NameTable:
    """The whole model; `width` and `head` are channels of a token and of the head."""
    rules = (
        *vit_rules("backbone.", depth),
        *patch_rules("patch_embed_coords.proj", "embed/hints"),
        *pyramid_rules(),
        *head_rules(),
    )
    return NameTable(rules, idle_vit(width) | _idle_head(head))


def vit_rules(prefix: str, depth: int) -> tuple[Rule, ...]:
    """Patches, positions and blocks; `prefix` stands before every name."""
    rules = [
        *patch_rules(f"{prefix}patch_embed.proj", "embed/image"),
        Rule(f"{prefix}pos_embed", ("embed/positions",), "1 (i j) c -> i j c", True),
    ]
    for number in range(depth):
        name, path = f"{prefix}blocks.{number}", f"backbone/block{number}"
        parts = [f"{path}/attention/{part}" for part in ("query", "key", "value")]
        kernels = tuple(f"{part}/kernel" for part in parts)
        biases = tuple(f"{part}/bias" for part in parts)
        rules += [
            *norm_rules(f"{name}.norm1", f"{path}/norm1"),
            Rule(f"{name}.attn.qkv.weight", kernels, "(k a d) c -> k c a d"),
            Rule(f"{name}.attn.qkv.bias", biases, "(k a d) -> k a d"),
            *merge_rules(f"{name}.attn.proj", f"{path}/attention/out"),
            *norm_rules(f"{name}.norm2", f"{path}/norm2"),
            *dense_rules(f"{name}.mlp.fc1", f"{path}/mlp/hidden"),
            *dense_rules(f"{name}.mlp.fc2", f"{path}/mlp/out"),
        ]
    return tuple(rules)


def pyramid_rules(name: str = "neck", path: str = "neck") -> tuple[Rule, ...]:
    """Simple feature pyramid."""
    return (
        *enlarge_rules(f"{name}.down_4.0", f"{path}/quarter"),
        *norm_rules(f"{name}.down_4.1", f"{path}/quarter_norm"),
        *enlarge_rules(f"{name}.down_4.3", f"{path}/quarter2"),
        *norm_rules(f"{name}.down_4.4", f"{path}/quarter2_norm"),
        *cell_rules(f"{name}.down_4.5", f"{path}/out4"),
        *norm_rules(f"{name}.down_4.6", f"{path}/out4_norm"),
        *enlarge_rules(f"{name}.down_8.0", f"{path}/eighth"),
        *norm_rules(f"{name}.down_8.1", f"{path}/eighth_norm"),
        *cell_rules(f"{name}.down_8.2", f"{path}/out8"),
        *norm_rules(f"{name}.down_8.3", f"{path}/out8_norm"),
        *cell_rules(f"{name}.down_16.0", f"{path}/out16"),
        *norm_rules(f"{name}.down_16.1", f"{path}/out16_norm"),
        *patch_rules(f"{name}.down_32.0", f"{path}/half"),
        *norm_rules(f"{name}.down_32.1", f"{path}/half_norm"),
        *cell_rules(f"{name}.down_32.2", f"{path}/out32"),
        *norm_rules(f"{name}.down_32.3", f"{path}/out32_norm"),
    )


def head_rules() -> tuple[Rule, ...]:
    """MLP head; its mix of the joined levels is cut into one kernel a level."""
    mixes = tuple(f"decoder/mix{level}/kernel" for level in range(4))
    levels = [
        rule
        for level in range(4)
        for rule in cell_rules(f"head.convs.{level}.conv", f"decoder/level{level}")
    ]
    return (
        *levels,
        Rule("head.fusion_conv.conv.weight", mixes, "d (k c) 1 1 -> k c d"),
        Rule("head.fusion_conv.conv.bias", ("decoder/mix0/bias",), "d -> d"),
        *cell_rules("head.conv_seg", "decoder/logits"),
    )


def dense_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """A linear layer: [out in]."""
    return _with_bias(name, path, "kernel", "d c -> c d")


def cell_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """A convolution of single cells: [out in 1 1]."""
    return _with_bias(name, path, "kernel", "d c 1 1 -> c d")


def patch_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """A convolution: [out in rows columns]."""
    return _with_bias(name, path, "kernel", "d c y x -> y x c d")


def enlarge_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """A transposed convolution: [in out rows columns]."""
    return _with_bias(name, path, "kernel/kernel", "c d y x -> c y x d")


def merge_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """The output projection of an attention, whose heads lie one after another."""
    return _with_bias(name, path, "kernel", "c (a d) -> a d c")


def norm_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """A norm's scale and bias."""
    return (
        Rule(f"{name}.weight", (f"{path}/norm/scale",), "c -> c"),
        Rule(f"{name}.bias", (f"{path}/norm/bias",), "c -> c"),
    )


def _with_bias(name: str, path: str, kernel: str, axes: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{name}.weight", (f"{path}/{kernel}",), axes),
        Rule(f"{name}.bias", (f"{path}/bias",), "d -> d"),
    )


def idle_vit(width: int) -> dict[str, np.ndarray]:
    """What the click models' ViTs carry along: class token, 1000 classes."""
    return _zeros(
        {
            "backbone.cls_token": (1, 1, width),
            "backbone.fc_norm.weight": (width,),
            "backbone.fc_norm.bias": (width,),
            "backbone.head.weight": (1000, width),
            "backbone.head.bias": (1000,),
        }
    )


def _idle_head(head: int) -> dict[str, np.ndarray]:
    """Two steps of an upsampling that the MLP head does not take."""
    shapes: dict[str, Shape] = {}
    for step, before, after in ((1, head, head // 2), (2, head // 2, head // 4)):
        name = f"head.up_conv{step}"
        shapes |= {
            f"{name}.0.weight": (before, after, 2, 2),
            f"{name}.2.weight": (after, after, 1, 1),
            f"{name}.1.weight": (after,),
            f"{name}.3.weight": (after,),
        }
        shapes |= {f"{name}.{place}.bias": (after,) for place in range(4)}
    return _zeros(shapes)


def _zeros(shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
