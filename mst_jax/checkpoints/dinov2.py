"""Parameter mapping of DINOv2's ViT, published as an `.npz`, to a plain ViT.

It is a warm start for any ViT of its size, such as ViT-S/14 for size small.

Source: Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR
2024; LayerScale is folded into the output projections, the class token is dropped.
Departure: DINOv2's final norm is left out. The published click models have no norm after
their backbone, and the pyramid that follows is trained from its initialization.
"""

from collections.abc import Mapping

import numpy as np

from mst_jax.checkpoints.parameter_mapping import ParameterMapping, ParameterRule
from mst_jax.checkpoints.torch_vit import ViTShape, count_layers, shape_of_array

FINAL_NORM = ("norm.scale", "norm.bias")


def infer_dinov2_shape(arrays: Mapping[str, np.ndarray]) -> ViTShape:
    """Infer the sizes of the ViT from the shapes of its arrays.

    Args:
        arrays: Name -> array of the archive.

    Raises:
        ValueError: An array is missing or has another number of axes.
    """
    # Kernels have the input first, positions are a grid: both differ from PyTorch's.
    patch_size, _, _, width = shape_of_array(arrays, "patch_embed.kernel", 4)
    grid_side = shape_of_array(arrays, "pos_embed", 3)[0]
    return ViTShape(width, count_layers(arrays, "blocks"), patch_size, grid_side)


def dinov2_mapping(depth: int) -> ParameterMapping:
    """Return the mapping of patch embedding, positions and blocks; kernels are [in out].

    Args:
        depth: Number of blocks.
    """
    rules = [
        ParameterRule(
            "patch_embed.kernel", ("embed/image/kernel",), "y x c d -> y x c d"
        ),
        ParameterRule("patch_embed.bias", ("embed/image/bias",), "d -> d"),
        ParameterRule("pos_embed", ("embed/positions",), "i j c -> i j c"),
    ]
    for block_index in range(depth):
        rules += _block_rules(f"blocks.{block_index}", f"backbone/block{block_index}")
    return ParameterMapping(tuple(rules), dict.fromkeys(FINAL_NORM))


def _block_rules(name: str, path: str) -> list[ParameterRule]:
    """Return the rules of a transformer block."""
    # Query, key and value are stacked in one array; k is the stacked axis.
    projection_paths = [
        f"{path}/attention/{part}" for part in ("query", "key", "value")
    ]
    qkv_kernels = tuple(
        f"{projection_path}/kernel" for projection_path in projection_paths
    )
    qkv_biases = tuple(
        f"{projection_path}/bias" for projection_path in projection_paths
    )
    out_path, out_name = f"{path}/attention/out", f"{name}.attn.proj"
    return [
        *_norm_rules(f"{name}.norm1", f"{path}/norm1"),
        ParameterRule(f"{name}.attn.qkv.kernel", qkv_kernels, "c (k a d) -> k c a d"),
        ParameterRule(f"{name}.attn.qkv.bias", qkv_biases, "(k a d) -> k a d"),
        ParameterRule(
            f"{out_name}.kernel", (f"{out_path}/kernel",), "(a d) c -> a d c"
        ),
        ParameterRule(f"{out_name}.bias", (f"{out_path}/bias",), "c -> c"),
        *_norm_rules(f"{name}.norm2", f"{path}/norm2"),
        *_dense_rules(f"{name}.mlp.fc1", f"{path}/mlp/hidden"),
        *_dense_rules(f"{name}.mlp.fc2", f"{path}/mlp/out"),
    ]


def _dense_rules(name: str, path: str) -> tuple[ParameterRule, ParameterRule]:
    return (
        ParameterRule(f"{name}.kernel", (f"{path}/kernel",), "c d -> c d"),
        ParameterRule(f"{name}.bias", (f"{path}/bias",), "d -> d"),
    )


def _norm_rules(name: str, path: str) -> tuple[ParameterRule, ParameterRule]:
    return (
        ParameterRule(f"{name}.scale", (f"{path}/norm/scale",), "c -> c"),
        ParameterRule(f"{name}.bias", (f"{path}/norm/bias",), "c -> c"),
    )
