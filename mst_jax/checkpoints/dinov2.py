"""Names in the archive of DINOv2's ViT-S/14 as a plain ViT, a start for any size-small ViT.

Source: Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR
2024; LayerScale is folded into the output projections, the class token is dropped.
Departure: DINOv2's final norm is left out. The published click models have no norm after
their backbone, and the pyramid that follows is trained anew.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mst_jax.checkpoints.parameter_mapping import NameTable, Rule
from mst_jax.checkpoints.torch_vit import Measures, axes_of, count_layers

SUFFIX = ".npz"
FINAL_NORM = ("norm.scale", "norm.bias")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz`; no objects.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise ValueError(f"checkpoint {path} is not there; expected an .npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no whole .npz of arrays ({error})") from None


def measure_dinov2(arrays: Mapping[str, np.ndarray]) -> Measures:
    """Measures the archive's ViT.

    Raises:
        ValueError: it is not one.
    """
    patch, _, _, width = axes_of(arrays, "patch_embed.kernel", 4)
    side = axes_of(arrays, "pos_embed", 3)[0]
    return Measures(width, count_layers(arrays, "blocks"), patch, side)


def dinov2_table(depth: int) -> NameTable:
    """The backbone: image's embedding, positions, blocks; kernels are [in out]."""
    rules = [
        Rule("patch_embed.kernel", ("embed/image/kernel",), "y x c d -> y x c d"),
        Rule("patch_embed.bias", ("embed/image/bias",), "d -> d"),
        Rule("pos_embed", ("embed/positions",), "i j c -> i j c"),
    ]
    for number in range(depth):
        name, path = f"blocks.{number}", f"backbone/block{number}"
        parts = [f"{path}/attention/{part}" for part in ("query", "key", "value")]
        kernels = tuple(f"{part}/kernel" for part in parts)
        biases = tuple(f"{part}/bias" for part in parts)
        out = f"{path}/attention/out"
        rules += [
            *_norm_rules(f"{name}.norm1", f"{path}/norm1"),
            Rule(f"{name}.attn.qkv.kernel", kernels, "c (k a d) -> k c a d"),
            Rule(f"{name}.attn.qkv.bias", biases, "(k a d) -> k a d"),
            Rule(f"{name}.attn.proj.kernel", (f"{out}/kernel",), "(a d) c -> a d c"),
            Rule(f"{name}.attn.proj.bias", (f"{out}/bias",), "c -> c"),
            *_norm_rules(f"{name}.norm2", f"{path}/norm2"),
            *_dense_rules(f"{name}.mlp.fc1", f"{path}/mlp/hidden"),
            *_dense_rules(f"{name}.mlp.fc2", f"{path}/mlp/out"),
        ]
    return NameTable(tuple(rules), dict.fromkeys(FINAL_NORM))


def _dense_rules(name: str, path: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{name}.kernel", (f"{path}/kernel",), "c d -> c d"),
        Rule(f"{name}.bias", (f"{path}/bias",), "d -> d"),
    )


def _norm_rules(name: str, path: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{name}.scale", (f"{path}/norm/scale",), "c -> c"),
        Rule(f"{name}.bias", (f"{path}/norm/bias",), "c -> c"),
    )
