"""Which of our models is it that a published checkpoint holds?"""

import dataclasses
import math
import re
from collections.abc import Mapping

import numpy as np

from mst_jax.backbones.sizes import SIZES
from mst_jax.checkpoints.torch_file import TorchFile
from mst_jax.checkpoints.torch_mst import mst_table
from mst_jax.checkpoints.torch_names import NameTable
from mst_jax.checkpoints.torch_vit import simpleclick_table
from mst_jax.models.click_model import ClickModel
from mst_jax.models.mst import MST_PATCH, RELEASES

# Channels of a head where no config says how many heads there are; huge has more.
HEAD_WIDTH, HUGE_WIDTH, HUGE_HEAD_WIDTH = 64, 1280, 80

PYRAMID = ("down_4.5", "down_8.2", "down_16.0", "down_32.2")


def find_model(file: TorchFile) -> dict[str, object]:
    """Finds the arguments of `build` for the model in a checkpoint.

    A checkpoint that this program wrote says so itself. Else the arrays' names and shapes
    tell, and the config tells the number of heads.

    Raises:
        ValueError: no model that we have, or a form of it that was never published.
    """
    arrays = file.arrays
    if "model" in file.config:
        return dict(file.config["model"])
    if is_bare_backbone(arrays):
        raise ValueError(
            "it holds a backbone alone, like MAE's; give it to config.start as it is"
        )
    if "patch_embed_coords.proj.weight" not in arrays or "head.conv_seg.weight" not in arrays:
        raise ValueError("it holds no model that we know; we know SimpleClick and MST")
    try:
        numbers = _find_numbers(file)
        selections = [n for n in arrays if n.endswith(".score.norm1.weight")]
        if not selections:
            return {"name": "simpleclick"} | _name_size(numbers)
        block = selections[0].removesuffix(".score.norm1.weight")
        form = {"name": "mst", "release": _find_release(arrays, block)}
        return form | _name_size(numbers, patch=MST_PATCH)
    except KeyError as error:
        raise ValueError(f"it lacks the array {error}") from None


def names_of(name: str, module: ClickModel) -> NameTable:
    """Returns the published names of a model's parameters.

    Args:
        name: of the recipe.
        module: that the recipe made.

    Raises:
        ValueError: nobody published a program for it.
    """
    depth, insert_at = module.backbone.depth, module.backbone.insert_at
    if name == "simpleclick":
        head = module.decoder.width
        return simpleclick_table(depth, width=module.embed.width, head=head)
    if name == "mst":
        return mst_table(depth, insert_at)
    raise ValueError(
        f"no published program runs the model {name!r}; they run simpleclick and mst"
    )


def is_bare_backbone(arrays: Mapping[str, np.ndarray]) -> bool:
    """Do the arrays belong to a ViT without clicks, such as MAE's encoder?"""
    return "blocks.0.attn.qkv.weight" in arrays


def count_blocks(names: Mapping[str, object]) -> int:
    """Number of blocks among a checkpoint's names."""
    found = (re.match(r"(?:backbone\.)?blocks\.(\d+)\.", name) for name in names)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def count_heads(file: TorchFile, width: int) -> int | None:
    """Heads of a block: as the config says, else by the published widths of a head.

    Returns:
        None if there is no config and the width was never published.
    """
    said = file.config
    for key in ("params", "backbone_params", "value", "num_heads"):
        said = said.get(key, {}) if isinstance(said, Mapping) else {}
    if isinstance(said, int) and said > 0:
        return said
    head = HUGE_HEAD_WIDTH if width == HUGE_WIDTH else HEAD_WIDTH
    return None if width % head else width // head


def _find_numbers(file: TorchFile) -> dict[str, object]:
    """The row of the table of sizes that the shapes tell, and the crop."""
    arrays = file.arrays
    width, _, patch, _ = _shape(arrays, "backbone.patch_embed.proj.weight", 4)
    _, num_positions, _ = _shape(arrays, "backbone.pos_embed", 3)
    side = math.isqrt(num_positions - 1)
    if side * side != num_positions - 1:
        raise ValueError(
            f"it has {num_positions - 1} positions, expected a square grid and a class slot"
        )
    num_heads = count_heads(file, width)
    if num_heads is None:
        raise ValueError(
            f"it is {width} wide and has no config, so the number of heads is unknown; "
            f"expected a config or a multiple of {HEAD_WIDTH}"
        )
    return {
        "width": width,
        "depth": count_blocks(arrays),
        "num_heads": num_heads,
        "patch": patch,
        "pyramid": [len(arrays[f"neck.{level}.weight"]) for level in PYRAMID],
        "head": _shape(arrays, "head.conv_seg.weight", 4)[1],
        "crop": side * patch,
    }


def _name_size(
    numbers: dict[str, object], **usual: object
) -> dict[str, object]:
    """Says the numbers as the name of the nearest size and what differs from it.

    Args:
        numbers: a whole row of the table of sizes, and the crop.
        **usual: numbers of every row that the recipe changes.
    """

    def differing(size: str) -> dict[str, object]:
        row = dataclasses.asdict(SIZES[size]) | usual
        row["pyramid"] = list(row["pyramid"])
        return {key: value for key, value in numbers.items() if value != row.get(key)}

    size = min(SIZES, key=lambda size: len(differing(size)))
    return {"size": size} | differing(size)


def _find_release(arrays: Mapping[str, np.ndarray], block: str) -> str:
    """Name of the form that a block with token selection has."""
    score = f"{block}.score"
    hidden, width = _shape(arrays, f"{score}.cross_attn.proj.expert_s.0.weight", 2)
    reduce = f"{score}.cross_attn.sr.weight"
    form = (
        hidden / width,
        len(arrays[f"{score}.cross_mlp.fc1.weight"]) / width,
        arrays[reduce].shape[-1] if reduce in arrays else 1,
        f"{block}.norm5.weight" in arrays,
    )
    for name, row in RELEASES.items():
        known = (row.expert_hidden, row.mlp_hidden, row.reduce, row.ends_with_mlp)
        if form == known:
            return name
    raise ValueError(
        f"its token selection has expert, MLP, reduction and last MLP {form}; no release "
        f"of MST has that: {', '.join(RELEASES)}"
    )


def _shape(
    arrays: Mapping[str, np.ndarray], name: str, num_axes: int
) -> tuple[int, ...]:
    shape = arrays[name].shape
    if len(shape) != num_axes or 0 in shape:
        raise ValueError(f"{name} is {list(shape)}, expected {num_axes} axes")
    return shape
