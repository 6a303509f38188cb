import re

import jax
import numpy as np
import pytest

import mst_jax
from mst_jax.checkpoints.torch_file import (
    TorchFile,
    read_torch_file,
    write_safetensors,
)
from mst_jax.models.detect_architecture import count_heads, find_model, names_of
from mst_jax.models.load import make_published
from tests.helpers.published_checkpoint import (
    FORMS,
    NUM_IDLE,
    SMALL,
    blank,
    published_arrays,
    write_published,
)
from tests.helpers.torch_archive import config_of, write_pth


def load(path):
    return make_published(path, read_torch_file(path))


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_found_and_every_parameter_filled(tmp_path, form):
    path, params = write_published(tmp_path, form)
    model, account = load(path.rename(tmp_path / "some_name.pth"))
    found = mst_jax.build(**model.config.to_dict()["model"])
    assert found == mst_jax.build(**FORMS[form]) == model.module
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    assert len(account.filled) == len(jax.tree.leaves(params)) and not account.fresh
    assert len(account.unread) == NUM_IDLE.get(form, 0)


def telling_arrays(width, depth, patch, num_positions, pyramid):
    """The arrays of a SimpleClick checkpoint that tell its form."""
    levels = ("down_4.5", "down_8.2", "down_16.0", "down_32.2")
    return blank(
        {
            "backbone.patch_embed.proj.weight": (width, 3, patch, patch),
            "patch_embed_coords.proj.weight": (width, 3, patch, patch),
            "backbone.pos_embed": (1, num_positions + 1, width),
            **{f"backbone.blocks.{n}.norm1.bias": (width,) for n in range(depth)},
            **{
                f"neck.{level}.weight": (channels, 8, 1, 1)
                for level, channels in zip(levels, pyramid, strict=True)
            },
            "head.conv_seg.weight": (1, 256, 1, 1),
        }
    )


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ({"size": "base", "crop": 224}, (768, 12, 16, 14)),
        ({"size": "large", "crop": 224}, (1024, 24, 16, 14)),
        ({"size": "huge", "crop": 224}, (1280, 32, 14, 16)),
        ({"size": "small", "patch": 14, "crop": 518}, (384, 12, 14, 37)),
    ],
)
def test_a_vit_without_clicks_becomes_the_plain_model(model, numbers):
    width, depth, patch, side = numbers
    mae = {
        "blocks.0.attn.qkv.weight": (3 * width, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "pos_embed": (1, side * side + 1, width),
        **{f"blocks.{n}.norm1.bias": (width,) for n in range(depth)},
    }
    assert find_model(TorchFile(blank(mae), {}, {})) == {"name": "simpleclick"} | model
    mae["patch_embed.kernel"] = (patch, patch, 3, width)
    mae["pos_embed"] = (side, side, width)
    mae["blocks.0.attn.qkv.kernel"] = mae.pop("blocks.0.attn.qkv.weight")
    assert find_model(TorchFile(blank(mae), {}, {})) == {"name": "simpleclick"} | model


@pytest.mark.parametrize(
    ("size", "numbers"),
    [
        ("base", (768, 12, 16, 28 * 28, (128, 256, 512, 1024))),
        ("large", (1024, 24, 16, 28 * 28, (192, 384, 768, 1536))),
        ("huge", (1280, 32, 14, 32 * 32, (240, 480, 960, 1920))),
    ],
)
def test_published_sizes_are_known_without_a_config(size, numbers):
    model = find_model(TorchFile(telling_arrays(*numbers), {}, {}))
    assert model == {"name": "simpleclick", "size": size, "crop": 448}


def test_a_huge_mst_has_the_patches_of_its_recipe():
    arrays = telling_arrays(1280, 32, 16, 14 * 14, (240, 480, 960, 1920))
    score = "backbone.blocks.7.score"
    arrays |= blank(
        {
            f"{score}.norm1.weight": (1280,),
            f"{score}.cross_attn.proj.expert_s.0.weight": (1280, 1280),
            f"{score}.cross_mlp.fc1.weight": (1280, 1280),
            f"{score}.cross_attn.sr.weight": (1280, 1280, 4, 4),
        }
    )
    model = find_model(TorchFile(arrays, {}, {}))
    said = {"name": "mst", "release": "slim-448", "every": 8, "size": "huge"}
    assert model == said | {"crop": 224}
    arrays[f"{score}.cross_mlp.fc1.weight"] = np.zeros((3 * 1280, 1))
    with pytest.raises(ValueError, match=r"mlp_hidden 3\.0, reduce 4, ends_with_mlp"):
        find_model(TorchFile(arrays, {}, {}))


def test_heads_are_what_the_config_says_or_as_wide_as_published():
    assert count_heads(TorchFile({}, {}, config_of(3)), 768) == 3
    easy = {"cfg": {"value": {"MODEL": {"BACKBONE": {"NUM_HEADS": 3}}}}}
    assert count_heads(TorchFile({}, {}, {"params": easy}), 768) == 3
    assert count_heads(TorchFile({}, {}, {}), 768) == 12
    assert count_heads(TorchFile({}, {}, {}), 1280) == 16
    assert count_heads(TorchFile({}, {}, {"params": {"backbone_params": 3}}), 64) == 1
    assert count_heads(TorchFile({}, {}, {}), 48) is None
    arrays = telling_arrays(48, 12, 16, 4, (16, 32, 64, 128))
    with pytest.raises(ValueError, match="48 wide and has no config"):
        find_model(TorchFile(arrays, {}, {}))


def test_other_files_are_one_sentence():
    mae = blank({"blocks.0.attn.qkv.weight": (6, 2)})
    with pytest.raises(ValueError, match=r"lacks the array patch_embed\.proj\.weight"):
        find_model(TorchFile(mae, {}, {}))
    queries = blank({"click_aware_decoder.query_feat.weight": (6, 2)})
    with pytest.raises(ValueError, match="no model that we know"):
        find_model(TorchFile(queries, {}, {}))
    with pytest.raises(ValueError, match="no model that we know; we know SimpleClick"):
        find_model(TorchFile(blank({"layer.weight": (3,)}), {}, {}))
    with pytest.raises(ValueError, match="its config names no model"):
        find_model(TorchFile({}, {"crop": 3}, {}))


def test_what_the_published_programs_do_not_compute_has_no_names():
    adaptive = FORMS["adaptiveclick"]
    cases = {
        "windows of 224 pixels, this model in none": {
            "name": "simpleclick",
            "window": 0,
        },
        "token selection of a release": {"name": "mst", "selection": {"one_of": 4}},
        "windows of 224 pixels, this model in 32": adaptive | {"window": 32},
        "heads in the pixel decoder: 8, this model 4": adaptive
        | {"pixels": {"num_heads": 4}},
        "groups in the norms of maps: 32, this model 16": adaptive
        | {"pixels": {"num_groups": 16}},
        "heads in the mask decoder: 8, this model 4": adaptive
        | {"queries": {"num_heads": 4}},
        "queries that see the clicks: True, this model False": adaptive
        | {"queries": {"sees_clicks": False}},
    }
    for sentence, changes in cases.items():
        model = SMALL | changes
        with pytest.raises(ValueError, match=sentence):
            names_of(model, mst_jax.build(**model))
    with pytest.raises(ValueError, match="no published program runs the model 'other'"):
        names_of({"name": "other"}, mst_jax.build(**FORMS["simpleclick"]))


def test_what_is_missing_or_strange_is_told_with_the_file(tmp_path):
    path, _ = write_published(tmp_path, "224")
    arrays = dict(read_torch_file(path).arrays)
    file = tmp_path / "other.safetensors"

    def load_changed(changed):
        file.unlink(missing_ok=True)
        write_safetensors(file, changed, {"model": FORMS["224"]})
        return load(file)

    load_changed(arrays)
    with pytest.raises(
        ValueError, match=r"other\.safetensors: 1 of its arrays have no"
    ):
        load_changed(arrays | {"new": np.ones(1)})
    del arrays["backbone.blocks.0.gamma"]
    with pytest.raises(ValueError, match=r"lacks 1 arrays: backbone\.blocks\.0\.gamma"):
        load_changed(arrays)


def test_selections_before_other_blocks_are_refused(tmp_path):
    model = FORMS["224"]
    arrays = published_arrays(model, write_published(tmp_path, "224")[1])
    ours = r"blocks\.0\.(?=score|gamma|norm[3-7])"
    moved = {re.sub(ours, "blocks.1.", name): array for name, array in arrays.items()}
    path = write_pth(tmp_path / "x.pth", moved, config=config_of(2))
    with pytest.raises(ValueError, match=r"lacks .*blocks\.0\.score"):
        load(path)
