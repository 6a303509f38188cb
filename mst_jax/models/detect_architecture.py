"""Which of our models is it that a published checkpoint holds?"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from mst_jax.backbones.vit_sizes import SIZES, Size, pick
from mst_jax.checkpoints import torch_adaptiveclick
from mst_jax.checkpoints.parameter_mapping import NameTable
from mst_jax.checkpoints.pretrained_vit import find_bare_vit
from mst_jax.checkpoints.torch_adaptiveclick import (
    adaptiveclick_table,
    measure_decoders,
)
from mst_jax.checkpoints.torch_file import TorchFile
from mst_jax.checkpoints.torch_mst import mst_table
from mst_jax.checkpoints.torch_vit import (
    Measures,
    axes_of,
    measure_vit,
    simpleclick_table,
)
from mst_jax.models.adaptiveclick import adaptiveclick, pick_wide
from mst_jax.models.click_model import ClickModel
from mst_jax.models.mst import MST_PATCH, RELEASES

# Channels of a head where no config says how many heads there are; huge has more.
HEAD_WIDTH, HUGE_WIDTH, HUGE_HEAD_WIDTH = 64, 1280, 80

# Where a config of SimpleClick or MST, and one of AdaptiveClick, say it.
HEADS = (
    ("params", "backbone_params", "value", "num_heads"),
    ("params", "cfg", "value", "MODEL", "BACKBONE", "NUM_HEADS"),
)

WINDOW = 224  # pixels, in the published SimpleClick and AdaptiveClick

HINTS, LOGITS = "patch_embed_coords.proj.weight", "head.conv_seg.weight"
QUERIES = f"{torch_adaptiveclick.QUERIES}.query_feat.weight"
SELECTION = r"backbone\.blocks\.(\d+)\.score\.norm1\.weight"
PYRAMID = ("down_4.5", "down_8.2", "down_16.0", "down_32.2")


def find_model(file: TorchFile) -> dict[str, object]:
    """Finds the arguments of `build` for the model in a checkpoint.

    A checkpoint that this program wrote says so itself. Else the arrays' names and shapes
    tell, and the config tells the number of heads. A ViT without clicks, such as MAE's,
    becomes the plain model's.

    Raises:
        ValueError: no model that we have, or a form of it that was never published.
    """
    arrays = file.arrays
    if file.config:
        model = file.config.get("model")
        if not isinstance(model, dict) or "name" not in model:
            raise ValueError("its config names no model")
        return model
    bare = find_bare_vit(arrays)
    if bare:
        numbers = _find_trunk(file, bare.measures)
        return {"name": "simpleclick"} | _name_size(numbers, pick)
    if HINTS not in arrays or not arrays.keys() & {LOGITS, QUERIES}:
        raise ValueError(
            "it holds no model that we know; we know SimpleClick, MST, AdaptiveClick, "
            "MAE and DINOv2"
        )
    numbers = _find_trunk(file, measure_vit(arrays, "backbone."))
    if QUERIES in arrays:
        return {"name": "adaptiveclick"} | _find_decoders(arrays, numbers)
    numbers |= _find_pyramid(arrays, "neck")
    numbers["head"] = axes_of(arrays, LOGITS, 4)[1]
    found = (re.fullmatch(SELECTION, name) for name in arrays)
    blocks = sorted(int(match[1]) for match in found if match)
    if not blocks:
        return {"name": "simpleclick"} | _name_size(numbers, pick)
    release = _find_release(arrays, f"backbone.blocks.{blocks[0]}")
    # Selections before the last block of each group tell its length by the first place.
    places = [*blocks, numbers["depth"]]
    every = places[1] - places[0] if RELEASES[release].opens else places[0] + 1
    size = _name_size(numbers, partial(pick, patch=MST_PATCH))
    return {"name": "mst", "release": release, "every": every} | size


def names_of(model: Mapping[str, object], module: ClickModel) -> NameTable:
    """Returns the published names of a model's parameters.

    Args:
        model: arguments of `build`.
        module: what it built.

    Raises:
        ValueError: no published program computes what this model does.
    """
    depth, width = module.backbone.depth, module.embed.width
    if model["name"] == "simpleclick":
        _check_window(module)
        return simpleclick_table(depth, width=width, head=module.decoder.width)
    if model["name"] == "mst":
        if model.get("selection"):
            raise ValueError(
                "the published program has the token selection of a release, this "
                f"model's is changed: {dict(model['selection'])}"
            )
        return mst_table(depth, module.backbone.insert_at)
    if model["name"] == "adaptiveclick":
        _check_window(module)
        _check_decoders(module)
        return adaptiveclick_table(
            depth,
            width=width,
            num_pixel_layers=module.neck.num_layers,
            num_query_layers=module.decoder.num_layers,
        )
    raise ValueError(
        f"no published program runs the model {model['name']!r}; they run simpleclick, "
        "mst and adaptiveclick"
    )


def count_heads(file: TorchFile, width: int) -> int | None:
    """Heads of a block: as the config says, else by the published widths of a head.

    Returns:
        None if there is no config and the width was never published.
    """
    for keys in HEADS:
        said = file.published
        for key in keys:
            said = said.get(key, {}) if isinstance(said, Mapping) else {}
        if isinstance(said, int) and said > 0:
            return said
    head = HUGE_HEAD_WIDTH if width == HUGE_WIDTH else HEAD_WIDTH
    return None if width % head else width // head


def _check_window(module: ClickModel) -> None:
    window = module.backbone.window * module.embed.patch
    if window != WINDOW:
        raise ValueError(
            f"the published program attends in windows of {WINDOW} pixels, this "
            f"model in {window or 'none'}"
        )


def _check_decoders(module: ClickModel) -> None:
    """Raises ValueError unless what shapes do not tell is as it was published."""
    neck, decoder = module.neck, module.decoder
    heads, groups = torch_adaptiveclick.NUM_HEADS, torch_adaptiveclick.NUM_GROUPS
    for what, ours, theirs in (
        ("heads in the pixel decoder", neck.num_heads, heads),
        ("groups in the norms of maps", neck.num_groups, groups),
        ("heads in the mask decoder", decoder.num_heads, heads),
        ("queries that see the clicks", decoder.sees_clicks, True),
    ):
        if ours != theirs:
            raise ValueError(
                f"the published program has {what}: {theirs}, this model {ours}"
            )


def _find_trunk(file: TorchFile, measures: Measures) -> dict[str, object]:
    """The numbers of the ViT in the table of sizes, and the crop."""
    width, depth, patch, side = measures
    num_heads = count_heads(file, width)
    if num_heads is None:
        raise ValueError(
            f"it is {width} wide and has no config, so nobody knows how many heads it "
            f"has; expected a config or a multiple of {HEAD_WIDTH}"
        )
    return {
        "width": width,
        "depth": depth,
        "num_heads": num_heads,
        "patch": patch,
        "crop": side * patch,
    }


def _find_pyramid(arrays: Mapping[str, np.ndarray], neck: str) -> dict[str, list[int]]:
    levels = [axes_of(arrays, f"{neck}.{level}.weight", 4)[0] for level in PYRAMID]
    return {"pyramid": levels}


def _find_decoders(
    arrays: Mapping[str, np.ndarray], numbers: Mapping[str, object]
) -> dict[str, object]:
    """The arguments of `adaptiveclick`; `numbers` are those of its ViT."""
    width, pixels, queries = measure_decoders(arrays)
    pyramid = _find_pyramid(arrays, torch_adaptiveclick.PYRAMID)
    model = _name_size({**numbers, **pyramid, "head": width}, pick_wide)
    usual = adaptiveclick(**model)
    for key, fields, module in (
        ("pixels", pixels, usual.neck),
        ("queries", queries, usual.decoder),
    ):
        changed = {k: v for k, v in fields.items() if v != getattr(module, k)}
        model |= {key: changed} if changed else {}
    return model


def _name_size(
    numbers: Mapping[str, object], pick_row: Callable[[str], Size]
) -> dict[str, object]:
    """Says the numbers as the name of the nearest size and what differs from it.

    Args:
        numbers: of a row of the table of sizes, and the crop.
        pick_row: the recipe's row of a size.
    """

    def differing(size: str) -> dict[str, object]:
        row = dataclasses.asdict(pick_row(size))
        row["pyramid"] = list(row["pyramid"])
        return {key: value for key, value in numbers.items() if value != row.get(key)}

    size = min(SIZES, key=lambda size: len(differing(size)))
    return {"size": size} | differing(size)


def _find_release(arrays: Mapping[str, np.ndarray], block: str) -> str:
    """Name of the form that a block with token selection has."""
    score = f"{block}.score"
    hidden, width = axes_of(arrays, f"{score}.cross_attn.proj.expert_s.0.weight", 2)
    reduce = f"{score}.cross_attn.sr.weight"
    fields = ("expert_hidden", "mlp_hidden", "reduce", "ends_with_mlp")
    form = (
        hidden / width,
        axes_of(arrays, f"{score}.cross_mlp.fc1.weight", 2)[0] / width,
        arrays[reduce].shape[-1] if reduce in arrays else 1,
        f"{block}.norm5.weight" in arrays,
    )
    for name, row in RELEASES.items():
        if form == tuple(getattr(row, field) for field in fields):
            return name
    found = ", ".join(f"{key} {value}" for key, value in zip(fields, form, strict=True))
    raise ValueError(
        f"its token selection has {found}; no release of MST has that: "
        f"{', '.join(RELEASES)}"
    )
