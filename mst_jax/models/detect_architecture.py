"""Detect the architecture of a published checkpoint from its arrays' names and shapes."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from mst_jax.backbones.vit_sizes import VIT_SIZES, ViTSize, get_vit_size
from mst_jax.checkpoints.formats.weight_file import WeightFile
from mst_jax.checkpoints.pretrained_vit import find_pretrained_vit
from mst_jax.checkpoints.torch_adaptiveclick import (
    DECODER_NAME,
    PYRAMID_NAME,
    infer_decoder_shapes,
)
from mst_jax.checkpoints.torch_vit import ViTShape, infer_vit_shape, shape_of_array
from mst_jax.models.adaptiveclick import adaptiveclick, get_wide_vit_size
from mst_jax.models.mst import MST_PATCH_SIZE, MST_RELEASES

# Channels of an attention head, for checkpoints without a config; huge has more.
HEAD_WIDTH, HUGE_WIDTH, HUGE_HEAD_WIDTH = 64, 1280, 80

# Keys of the number of heads in a config of SimpleClick or MST, and of AdaptiveClick.
NUM_HEADS_KEYS = (
    ("params", "backbone_params", "value", "num_heads"),
    ("params", "cfg", "value", "MODEL", "BACKBONE", "NUM_HEADS"),
)

# Arrays that distinguish the programs: click maps, MLP head, queries, token selection.
CLICK_EMBED_ARRAY = "patch_embed_coords.proj.weight"
LOGITS_ARRAY = "head.conv_seg.weight"
QUERY_ARRAY = f"{DECODER_NAME}.query_feat.weight"
SELECTION_PATTERN = r"backbone\.blocks\.(\d+)\.score\.norm1\.weight"

# The last convolution of each level of the pyramid.
PYRAMID_LAYERS = ("down_4.5", "down_8.2", "down_16.0", "down_32.2")

# Fields of `MSTRelease` by which the releases of MST differ in their arrays.
RELEASE_FIELDS = ("expert_ratio", "mlp_ratio", "pool_size", "use_mlp")


def detect_model_config(weight_file: WeightFile) -> dict[str, Any]:
    """Detect the arguments of `build` for the model in a checkpoint.

    A checkpoint that mst_jax wrote holds them. Otherwise the sizes follow from the names
    and shapes of the arrays, and the number of heads from the published config. A ViT
    without clicks, such as MAE's, gives the plain model.

    Args:
        weight_file: Content of the checkpoint.

    Returns:
        Arguments of `build`: "name", "size", and what differs from that size.

    Raises:
        ValueError: The checkpoint holds no model that we know, or a form of one that was
            never published.
    """
    arrays = weight_file.arrays
    # 1. A file of mst_jax.
    if weight_file.config is not None:
        model_config = weight_file.config.get("model")
        if not isinstance(model_config, dict) or "name" not in model_config:
            raise ValueError("its config names no model")
        return model_config
    # 2. A pretrained ViT without clicks.
    pretrained = find_pretrained_vit(arrays)
    if pretrained:
        vit_sizes = _vit_sizes(weight_file, pretrained.vit_shape)
        return {"name": "simpleclick"} | _nearest_size(vit_sizes, get_vit_size)
    # 3. AdaptiveClick, SimpleClick or MST.
    if CLICK_EMBED_ARRAY not in arrays or not arrays.keys() & {
        LOGITS_ARRAY,
        QUERY_ARRAY,
    }:
        raise ValueError(
            "it holds no known model; known are SimpleClick, MST, AdaptiveClick, "
            "MAE and DINOv2"
        )
    sizes = _vit_sizes(weight_file, infer_vit_shape(arrays, "backbone."))
    if QUERY_ARRAY in arrays:
        return {"name": "adaptiveclick"} | _adaptiveclick_config(arrays, sizes)
    sizes["pyramid_widths"] = _pyramid_widths(arrays, "neck")
    sizes["decoder_width"] = shape_of_array(arrays, LOGITS_ARRAY, 4)[1]
    matches = (re.fullmatch(SELECTION_PATTERN, name) for name in arrays)
    selection_blocks = sorted(int(match[1]) for match in matches if match)
    if not selection_blocks:
        return {"name": "simpleclick"} | _nearest_size(sizes, get_vit_size)
    return {"name": "mst"} | _mst_config(arrays, sizes, selection_blocks)


def detect_num_heads(weight_file: WeightFile, width: int) -> int | None:
    """Detect the number of attention heads: from the config, or by published widths.

    Args:
        weight_file: Content of a published checkpoint.
        width: Channels of a token.

    Returns:
        Number of heads of a block, None if there is no config and the width was never
        published.
    """
    # A config may be anything that a pickle holds, so each step is checked.
    for key_path in NUM_HEADS_KEYS:
        value: Any = weight_file.published_config or {}
        for key in key_path:
            value = value.get(key, {}) if isinstance(value, Mapping) else {}
        if isinstance(value, int) and value > 0:
            return value
    # Published widths have heads of 64 channels, huge of 80.
    head_width = HUGE_HEAD_WIDTH if width == HUGE_WIDTH else HEAD_WIDTH
    return None if width % head_width else width // head_width


def _vit_sizes(weight_file: WeightFile, vit_shape: ViTShape) -> dict[str, Any]:
    """Return the fields of `ViTSize` that follow from the arrays, and the crop."""
    width, depth, patch_size, grid_side = vit_shape
    num_heads = detect_num_heads(weight_file, width)
    if num_heads is None:
        raise ValueError(
            f"it is {width} wide and has no config, so its number of heads is unknown; "
            f"expected a config or a multiple of {HEAD_WIDTH}"
        )
    return {
        "width": width,
        "depth": depth,
        "num_heads": num_heads,
        "patch_size": patch_size,
        "crop": grid_side * patch_size,
    }


def _pyramid_widths(arrays: Mapping[str, np.ndarray], neck_name: str) -> list[int]:
    return [
        shape_of_array(arrays, f"{neck_name}.{layer}.weight", 4)[0]
        for layer in PYRAMID_LAYERS
    ]


def _mst_config(
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, Any],
    selection_blocks: list[int],
) -> dict[str, Any]:
    """Return the arguments of `mst` besides its name."""
    first_block = selection_blocks[0]
    release = _detect_release(arrays, f"backbone.blocks.{first_block}")
    # Selections are before the first or before the last block of each group of blocks.
    # The group length is the distance of two selections, or the first index + 1.
    group_boundaries = [*selection_blocks, sizes["depth"]]
    if MST_RELEASES[release].insert_first:
        insert_every = group_boundaries[1] - group_boundaries[0]
    else:
        insert_every = first_block + 1
    mst_size = partial(get_vit_size, patch_size=MST_PATCH_SIZE)
    return {"release": release, "insert_every": insert_every} | _nearest_size(
        sizes, mst_size
    )


def _adaptiveclick_config(
    arrays: Mapping[str, np.ndarray], vit_sizes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `adaptiveclick` besides its name."""
    decoder_width, pixel_fields, query_fields = infer_decoder_shapes(arrays)
    sizes = {
        **vit_sizes,
        "pyramid_widths": _pyramid_widths(arrays, PYRAMID_NAME),
        "decoder_width": decoder_width,
    }
    model_config = _nearest_size(sizes, get_wide_vit_size)
    # Only what differs from the defaults for this size is an argument.
    default_model = adaptiveclick(**model_config)
    for key, fields, module in (
        ("pixel_decoder", pixel_fields, default_model.neck),
        ("mask_decoder", query_fields, default_model.decoder),
    ):
        changes = {
            field: value
            for field, value in fields.items()
            if value != getattr(module, field)
        }
        model_config |= {key: changes} if changes else {}
    return model_config


def _nearest_size(
    sizes: Mapping[str, Any], get_size: Callable[[str], ViTSize]
) -> dict[str, Any]:
    """Express sizes as the name of the nearest published size and what differs from it.

    Args:
        sizes: Values of fields of `ViTSize`, and the crop.
        get_size: Function that returns the size of a name for the model in question.
    """

    def size_differences(size_name: str) -> dict[str, Any]:
        size_fields = dataclasses.asdict(get_size(size_name))
        size_fields["pyramid_widths"] = list(size_fields["pyramid_widths"])
        return {key: v for key, v in sizes.items() if v != size_fields.get(key)}

    nearest_size = min(
        VIT_SIZES, key=lambda size_name: len(size_differences(size_name))
    )
    return {"size": nearest_size} | size_differences(nearest_size)


def _detect_release(arrays: Mapping[str, np.ndarray], block_name: str) -> str:
    """Detect the release of MST whose token selection a block holds."""
    score_name = f"{block_name}.score"
    expert_name = f"{score_name}.cross_attn.proj.expert_s.0.weight"
    pool_name = f"{score_name}.cross_attn.sr.weight"
    expert_hidden, width = shape_of_array(arrays, expert_name, 2)
    mlp_hidden = shape_of_array(arrays, f"{score_name}.cross_mlp.fc1.weight", 2)[0]
    # In the order of RELEASE_FIELDS; without pooling there is no pooling array.
    detected_values = (
        expert_hidden / width,
        mlp_hidden / width,
        arrays[pool_name].shape[-1] if pool_name in arrays else 1,
        f"{block_name}.norm5.weight" in arrays,
    )
    for release_name, release in MST_RELEASES.items():
        if detected_values == tuple(
            getattr(release, field) for field in RELEASE_FIELDS
        ):
            return release_name
    values = zip(RELEASE_FIELDS, detected_values, strict=True)
    raise ValueError(
        f"its token selection has {', '.join(f'{key} {value}' for key, value in values)};"
        f" no release of MST has that: {', '.join(MST_RELEASES)}"
    )
