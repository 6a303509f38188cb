import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mst_jax
from mst_jax.checkpoints import model_folder, packed_model
from mst_jax.checkpoints.dinov2 import dinov2_mapping
from mst_jax.checkpoints.parameter_mapping import arrays_from_params, flatten_params
from mst_jax.checkpoints.torch_vit import mae_mapping
from mst_jax.geometry.resize import resize_positions_bicubic
from mst_jax.layers.patch_embed import resize_patch_kernel
from mst_jax.models.warm_start import warm_start_params
from tests.helpers.pretrained_vit_file import vit_params
from tests.helpers.published_checkpoint import PUBLISHED_FORMS, write_published_file
from tests.helpers.random_models import random_params
from tests.helpers.torch_archive import write_pth

WIDE_HEAD_CONFIG = PUBLISHED_FORMS["simpleclick"] | {"width": 64, "num_heads": 1}


def assert_tree_equal(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.fixture(scope="module")
def initial_params():
    return random_params(mst_jax.build(**WIDE_HEAD_CONFIG), seed=1)


@pytest.fixture(scope="module")
def source_params():
    """Parameters of a model with smaller patches and fewer positions."""
    small_patches = {"patch_size": 8, "crop": 24, "window": 224}
    return random_params(mst_jax.build(**WIDE_HEAD_CONFIG | small_patches), seed=2)


def write_mae(path, source_params, extra_arrays=None):
    arrays = arrays_from_params(vit_params(source_params), mae_mapping(4))
    return write_pth(path, arrays | (extra_arrays or {}), under="model")


def check_backbone(params, source_params, initial_params):
    """Check that blocks are the source's, the embedding resized, all else initial."""
    assert_tree_equal(params["backbone"], source_params["backbone"])
    embed, source_embed = params["embed"], source_params["embed"]
    positions = resize_positions_bicubic(source_embed["positions"], 4, 4)
    np.testing.assert_allclose(embed["positions"], positions, atol=1e-6)
    kernel = resize_patch_kernel(source_embed["image"]["kernel"], 16)
    np.testing.assert_allclose(embed["image"]["kernel"], kernel, atol=1e-6)
    bias = source_embed["image"]["bias"]
    np.testing.assert_array_equal(embed["image"]["bias"], bias)
    assert_tree_equal(params["embed"]["hints"], initial_params["embed"]["hints"])
    assert_tree_equal(params["neck"], initial_params["neck"])
    assert_tree_equal(params["decoder"], initial_params["decoder"])


def test_mae_initializes_embedding_and_blocks(tmp_path, initial_params, source_params):
    extra_arrays = {
        "cls_token": np.ones((1, 1, 64), np.float32),
        "decoder_embed.weight": np.ones((8, 64), np.float32),
    }
    path = write_mae(tmp_path / "mae.pth", source_params, extra_arrays)
    params, report = warm_start_params(initial_params, path)
    check_backbone(params, source_params, initial_params)
    assert report.unused_arrays == ("cls_token", "decoder_embed.weight")
    num_params = len(report.filled_params) + len(report.reinitialized)
    assert num_params == len(jax.tree.leaves(initial_params))
    assert "reinitialized: decoder, embed/hints, neck" in str(report)
    assert report.changes == (
        "embed/image/kernel: [8, 8, 3, 64] resized to [16, 16, 3, 64]",
        "embed/positions: [3, 3, 64] resized to [4, 4, 64]",
    )


def test_dinov2_initializes_embedding_and_blocks(
    tmp_path, initial_params, source_params
):
    arrays = arrays_from_params(vit_params(source_params), dinov2_mapping(4))
    final_norm = {"norm.scale": np.ones(64), "norm.bias": np.ones(64)}
    np.savez(tmp_path / "dino.npz", **arrays, **final_norm)
    params, report = warm_start_params(initial_params, tmp_path / "dino.npz")
    check_backbone(params, source_params, initial_params)
    assert report.unused_arrays == ("norm.bias", "norm.scale")
    assert "not used, as expected: norm.bias, norm.scale" in str(report)


def test_token_selection_keeps_initial_values_after_simpleclick(tmp_path):
    path, source_params = write_published_file(tmp_path, "simpleclick")
    initial = random_params(mst_jax.build(**PUBLISHED_FORMS["slim-448"]), seed=5)
    params, report = warm_start_params(initial, path)
    flat_initial, flat_source = flatten_params(initial), flatten_params(source_params)
    for name, value in flatten_params(params).items():
        expected = flat_source.get(name, flat_initial[name])
        np.testing.assert_array_equal(value, expected)
    assert "reinitialized: backbone/insertions_0" in str(report)
    assert report.used_arrays == tuple(sorted(flat_source)) == report.filled_params
    assert len(report.unused_arrays) == 21


@pytest.mark.parametrize("form", ["folder", "packed"])
def test_checkpoint_of_ours_initializes_a_larger_crop(tmp_path, form):
    model_config = PUBLISHED_FORMS["simpleclick"] | {"crop": 32}
    source_params = random_params(mst_jax.build(**model_config), seed=6)
    path, config = tmp_path / "ours.safetensors", {"model": model_config}
    if form == "folder":
        path = tmp_path / "ours"
        model_folder.write_model_folder(path, source_params, config)
    else:
        packed_model.write_packed_model(path, flatten_params(source_params), config)
    initial = random_params(mst_jax.build(**PUBLISHED_FORMS["simpleclick"]), seed=7)
    params, report = warm_start_params(initial, path)
    assert not report.reinitialized and not report.unused_arrays
    assert report.changes == ("embed/positions: [2, 2, 16] resized to [4, 4, 16]",)
    positions = resize_positions_bicubic(source_params["embed"]["positions"], 4, 4)
    np.testing.assert_allclose(params["embed"]["positions"], positions, atol=1e-6)
    assert_tree_equal(params["neck"], source_params["neck"])


def test_dtypes_of_the_model_are_kept(tmp_path, source_params):
    small_patches = {"patch_size": 8, "crop": 24}
    initial = random_params(mst_jax.build(**WIDE_HEAD_CONFIG | small_patches))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), initial)
    path = write_mae(tmp_path / "mae.pth", source_params)
    params, report = warm_start_params(half, path)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}
    assert not report.changes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"width": 32, "num_heads": 2},
            "width 16, 4 blocks, 2 heads, but the model has width 32",
        ),
        ({"depth": 5}, "4 blocks, 2 heads, but the model has width 16, 5 blocks"),
        ({"num_heads": 4}, "2 heads, but the model has width 16, 4 blocks, 4 heads"),
    ],
)
def test_other_block_sizes_are_one_clear_error(tmp_path, changes, sentence):
    path, _ = write_published_file(tmp_path, "simpleclick")
    initial = random_params(mst_jax.build(**PUBLISHED_FORMS["simpleclick"] | changes))
    with pytest.raises(ValueError, match=rf"simpleclick\.pth.* {sentence}"):
        warm_start_params(initial, path)


def test_other_block_sizes_name_a_size_that_fits():
    """The bundled model in the config of a folder of images, which is nano."""
    initial = random_params(mst_jax.build("simpleclick", size="nano", crop=64))
    sentence = (
        r"mst-small: it has width 384, 12 blocks, 6 heads, but the model has width 96, "
        r"6 blocks, 3 heads; models of size small .* configs/objects\.py:size=small, or"
    )
    with pytest.raises(ValueError, match=sentence):
        warm_start_params(initial, "mst-small")


@pytest.mark.parametrize(
    ("depth", "block_indices"), [(3, [0, 2, 3]), (2, [0, 3]), (1, [0])]
)
def test_blocks_of_a_deeper_model_are_used_evenly(tmp_path, depth, block_indices):
    path, source_params = write_published_file(tmp_path, "simpleclick")
    model_config = PUBLISHED_FORMS["simpleclick"] | {"depth": depth}
    initial = random_params(mst_jax.build(**model_config))
    params, report = warm_start_params(initial, path)
    for new_index, index in enumerate(block_indices):
        block = params["backbone"][f"block{new_index}"]
        assert_tree_equal(block, source_params["backbone"][f"block{index}"])
    for subtree in ("embed", "neck", "decoder"):
        assert_tree_equal(params[subtree], source_params[subtree])
    listed = ", ".join(map(str, block_indices))
    assert report.changes == (f"blocks {listed} of 4 used",)
    assert not report.reinitialized
    left_out = flatten_params(source_params).keys() - set(report.used_arrays)
    assert left_out <= set(report.unused_arrays)
    unused_blocks = {f"block{index}" for index in set(range(4)) - set(block_indices)}
    assert {name.split("/")[1] for name in left_out} == unused_blocks


def test_layers_that_do_not_fit_keep_initial_values(tmp_path):
    path, source_params = write_published_file(tmp_path, "adaptiveclick")
    model = PUBLISHED_FORMS["adaptiveclick"] | {"pyramid_widths": [4, 8, 12, 20]}
    model["mask_decoder"] = model["mask_decoder"] | {"num_queries": 4, "num_layers": 2}
    initial = random_params(mst_jax.build(**model), seed=8)
    params, report = warm_start_params(initial, path)
    mismatched = {"query_content": "decoder", "query_position": "decoder"}
    mismatched |= {"in32": "neck", "pyramid": "neck"}
    assert report.changes == tuple(
        f"{subtree}/{layer} does not fit, reinitialized"
        for layer, subtree in mismatched.items()
    )
    for subtree in ("embed", "backbone", "neck", "decoder"):
        for layer, leaves in params[subtree].items():
            expected = initial if layer in mismatched else source_params
            assert_tree_equal(leaves, expected[subtree][layer])
    assert "decoder/layer2/cross/out/bias" in report.unused_arrays
    assert "neck/in32/bias" in report.unused_arrays
    assert "neck/in32/bias" in report.reinitialized
    assert not set(report.used_arrays) & set(report.unused_arrays)


def test_backbone_must_fit(tmp_path):
    """The smaller head would be reinitialized; smaller blocks are an error."""
    path, _ = write_published_file(tmp_path, "448")
    model_config = PUBLISHED_FORMS["448"] | {"release": "slim-448"}
    initial = random_params(mst_jax.build(**model_config))
    with pytest.raises(ValueError, match=r"448\.pth does not fit: its backbone/insert"):
        warm_start_params(initial, path)


def test_vit_of_published_width_has_the_published_heads(tmp_path, source_params):
    path = write_mae(tmp_path / "mae.pth", source_params)
    initial = random_params(mst_jax.build(**WIDE_HEAD_CONFIG | {"num_heads": 2}))
    with pytest.raises(
        ValueError, match=r"mae\.pth: .* 1 heads, but the model .* 2 heads"
    ):
        warm_start_params(initial, path)


def test_vit_must_be_complete(tmp_path, initial_params, source_params):
    arrays = arrays_from_params(vit_params(source_params), mae_mapping(4))
    del arrays["blocks.2.mlp.fc1.bias"]
    path = write_pth(tmp_path / "mae.pth", arrays, under="model")
    sentence = r"mae\.pth: it lacks 1 arrays: blocks\.2\.mlp"
    with pytest.raises(ValueError, match=sentence):
        warm_start_params(initial_params, path)
    for name in ("gone.pth", "gone.npz", "gone"):
        with pytest.raises(ValueError, match=rf"{name} is not there"):
            warm_start_params(initial_params, tmp_path / name)


def test_reinit_patterns_keep_initial_values(tmp_path, initial_params, source_params):
    """Positions of another size are not even resized."""
    small_patches = {"patch_size": 8, "crop": 24, "window": 224}
    config = {"model": WIDE_HEAD_CONFIG | small_patches}
    model_folder.write_model_folder(tmp_path / "model", source_params, config)
    patterns = ("embed/positions", "backbone/block[01]/.*", "decoder/.*")
    params, report = warm_start_params(
        initial_params, tmp_path / "model", reinit=patterns
    )
    flat_params, flat_initial = flatten_params(params), flatten_params(initial_params)
    for name, source_value in flatten_params(source_params).items():
        is_kept = any(re.fullmatch(pattern, name) for pattern in patterns)
        if name.startswith(("backbone", "decoder")) or is_kept:
            expected = flat_initial[name] if is_kept else source_value
            np.testing.assert_array_equal(flat_params[name], expected, err_msg=name)
        assert (name in report.reinitialized) == is_kept
    with pytest.raises(ValueError, match=r"config\.reinit: 'positions' matches none"):
        warm_start_params(initial_params, tmp_path / "model", reinit=("positions",))
