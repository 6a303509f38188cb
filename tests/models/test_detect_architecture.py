import re

import jax
import numpy as np
import pytest

import mst_jax
from mst_jax.checkpoints.formats.weight_file import (
    WeightFile,
    read_weight_file,
    write_safetensors,
)
from mst_jax.models.detect_architecture import detect_model_config, detect_num_heads
from mst_jax.models.load import build_published_model
from tests.helpers.published_checkpoint import (
    NUM_UNUSED_ARRAYS,
    PUBLISHED_FORMS,
    published_arrays,
    write_published_file,
    zero_arrays,
)
from tests.helpers.torch_archive import make_published_config, write_pth


def load_published(path):
    return build_published_model(path, read_weight_file(path))


def detect(arrays, **weight_file_fields):
    return detect_model_config(WeightFile(arrays, **weight_file_fields))


@pytest.mark.parametrize("form", PUBLISHED_FORMS)
def test_form_is_detected_and_every_parameter_filled(tmp_path, form):
    path, params = write_published_file(tmp_path, form)
    model, report = load_published(path.rename(tmp_path / "some_name.pth"))
    detected = mst_jax.build(**model.config.to_dict()["model"])
    assert detected == mst_jax.build(**PUBLISHED_FORMS[form]) == model.module
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    assert len(report.filled_params) == len(jax.tree.leaves(params))
    assert not report.reinitialized
    assert len(report.unused_arrays) == NUM_UNUSED_ARRAYS.get(form, 0)


def simpleclick_arrays(width, depth, patch_size, num_positions, pyramid_widths):
    """Return the arrays of a SimpleClick checkpoint that tell its sizes."""
    layers = ("down_4.5", "down_8.2", "down_16.0", "down_32.2")
    return zero_arrays(
        {
            "backbone.patch_embed.proj.weight": (width, 3, patch_size, patch_size),
            "patch_embed_coords.proj.weight": (width, 3, patch_size, patch_size),
            "backbone.pos_embed": (1, num_positions + 1, width),
            **{f"backbone.blocks.{n}.norm1.bias": (width,) for n in range(depth)},
            **{
                f"neck.{layer}.weight": (channels, 8, 1, 1)
                for layer, channels in zip(layers, pyramid_widths, strict=True)
            },
            "head.conv_seg.weight": (1, 256, 1, 1),
        }
    )


@pytest.mark.parametrize(
    ("expected", "sizes"),
    [
        ({"size": "base", "crop": 224}, (768, 12, 16, 14)),
        ({"size": "large", "crop": 224}, (1024, 24, 16, 14)),
        ({"size": "huge", "crop": 224}, (1280, 32, 14, 16)),
        ({"size": "small", "patch_size": 14, "crop": 518}, (384, 12, 14, 37)),
    ],
)
def test_vit_without_clicks_becomes_the_plain_model(expected, sizes):
    width, depth, patch_size, grid_side = sizes
    shapes = {
        "blocks.0.attn.qkv.weight": (3 * width, width),
        "patch_embed.proj.weight": (width, 3, patch_size, patch_size),
        "pos_embed": (1, grid_side * grid_side + 1, width),
        **{f"blocks.{n}.norm1.bias": (width,) for n in range(depth)},
    }
    assert detect(zero_arrays(shapes)) == {"name": "simpleclick"} | expected
    # The same under DINOv2's names.
    shapes["patch_embed.kernel"] = (patch_size, patch_size, 3, width)
    shapes["pos_embed"] = (grid_side, grid_side, width)
    shapes["blocks.0.attn.qkv.kernel"] = shapes.pop("blocks.0.attn.qkv.weight")
    assert detect(zero_arrays(shapes)) == {"name": "simpleclick"} | expected


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ("base", (768, 12, 16, 28 * 28, (128, 256, 512, 1024))),
        ("large", (1024, 24, 16, 28 * 28, (192, 384, 768, 1536))),
        ("huge", (1280, 32, 14, 32 * 32, (240, 480, 960, 1920))),
    ],
)
def test_published_sizes_are_detected_without_a_config(size, sizes):
    expected = {"name": "simpleclick", "size": size, "crop": 448}
    assert detect(simpleclick_arrays(*sizes)) == expected


def test_huge_mst_has_the_patch_size_of_mst():
    arrays = simpleclick_arrays(1280, 32, 16, 14 * 14, (240, 480, 960, 1920))
    score = "backbone.blocks.7.score"
    arrays |= zero_arrays(
        {
            f"{score}.norm1.weight": (1280,),
            f"{score}.cross_attn.proj.expert_s.0.weight": (1280, 1280),
            f"{score}.cross_mlp.fc1.weight": (1280, 1280),
            f"{score}.cross_attn.sr.weight": (1280, 1280, 4, 4),
        }
    )
    model = {"name": "mst", "release": "slim-448", "insert_every": 8, "size": "huge"}
    assert detect(arrays) == model | {"crop": 224}
    arrays[f"{score}.cross_mlp.fc1.weight"] = np.zeros((3 * 1280, 1))
    with pytest.raises(ValueError, match=r"mlp_ratio 3\.0, pool_size 4, use_mlp"):
        detect(arrays)


def test_number_of_heads_is_in_the_config_or_follows_from_the_width():
    def num_heads(width, published_config=None):
        weight_file = WeightFile({}, published_config=published_config)
        return detect_num_heads(weight_file, width)

    assert num_heads(768, make_published_config(3)) == 3
    backbone = {"cfg": {"value": {"MODEL": {"BACKBONE": {"NUM_HEADS": 3}}}}}
    assert num_heads(768, {"params": backbone}) == 3
    assert num_heads(768) == 12
    assert num_heads(1280) == 16
    assert num_heads(64, {"params": {"backbone_params": 3}}) == 1
    assert num_heads(48) is None
    arrays = simpleclick_arrays(48, 12, 16, 4, (16, 32, 64, 128))
    with pytest.raises(ValueError, match="48 wide and has no config"):
        detect(arrays)


def test_other_files_are_one_clear_error():
    with pytest.raises(ValueError, match=r"lacks the array patch_embed\.proj\.weight"):
        detect(zero_arrays({"blocks.0.attn.qkv.weight": (6, 2)}))
    with pytest.raises(ValueError, match="no known model"):
        detect(zero_arrays({"click_aware_decoder.query_feat.weight": (6, 2)}))
    with pytest.raises(ValueError, match="no known model; known are SimpleClick"):
        detect(zero_arrays({"layer.weight": (3,)}))
    with pytest.raises(ValueError, match="its config names no model"):
        detect({}, config={"crop": 3})


def test_missing_and_unknown_arrays_are_reported_with_the_file(tmp_path):
    path, _ = write_published_file(tmp_path, "224")
    arrays = dict(read_weight_file(path).arrays)
    new_path = tmp_path / "other.safetensors"

    def load_changed(changed_arrays):
        new_path.unlink(missing_ok=True)
        config = {"model": PUBLISHED_FORMS["224"]}
        write_safetensors(new_path, changed_arrays, config)
        return load_published(new_path)

    load_changed(arrays)
    sentence = r"other\.safetensors: 1 of its arrays do not belong to this model: new"
    with pytest.raises(ValueError, match=sentence):
        load_changed(arrays | {"new": np.ones(1)})
    del arrays["backbone.blocks.0.gamma"]
    with pytest.raises(ValueError, match=r"lacks 1 arrays: backbone\.blocks\.0\.gamma"):
        load_changed(arrays)


def test_selections_before_other_blocks_are_refused(tmp_path):
    _, params = write_published_file(tmp_path, "224")
    arrays = published_arrays(PUBLISHED_FORMS["224"], params)
    selection_name = r"blocks\.0\.(?=score|gamma|norm[3-7])"
    moved = {
        re.sub(selection_name, "blocks.1.", n): array for n, array in arrays.items()
    }
    path = write_pth(tmp_path / "x.pth", moved, config=make_published_config(2))
    with pytest.raises(ValueError, match=r"lacks .*blocks\.0\.score"):
        load_published(path)
