import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import mst_jax
from mst_jax.checkpoints import store
from mst_jax.checkpoints.dinov2 import dinov2_table
from mst_jax.checkpoints.parameter_mapping import write_names
from mst_jax.checkpoints.torch_vit import mae_table
from mst_jax.geometry.resize import resize_positions_bicubic
from mst_jax.layers.patchify import resize_kernel
from mst_jax.models.warm_start import start_from
from tests.helpers.pretrained_vit_file import bare
from tests.helpers.published_checkpoint import FORMS, write_published
from tests.helpers.torch_archive import write_pth
from tests.models.test_simpleclick import drawn_params

WIDE = FORMS["simpleclick"] | {"width": 64, "num_heads": 1}


@pytest.fixture(scope="module")
def fresh():
    return drawn_params(mst_jax.build(**WIDE), seed=1)


@pytest.fixture(scope="module")
def source():
    """Parameters of a model with smaller patches and fewer positions."""
    module = mst_jax.build(**WIDE | {"patch": 8, "crop": 24, "window": 224})
    return drawn_params(module, seed=2)


def check_backbone(params, source, fresh):
    """Blocks as in the source, embedding resized, all else fresh."""
    jax.tree.map(np.testing.assert_array_equal, params["backbone"], source["backbone"])
    ours, theirs = params["embed"], source["embed"]
    want = resize_positions_bicubic(theirs["positions"], 4, 4)
    np.testing.assert_allclose(ours["positions"], want, atol=1e-6)
    want = resize_kernel(theirs["image"]["kernel"], 16)
    np.testing.assert_allclose(ours["image"]["kernel"], want, atol=1e-6)
    np.testing.assert_array_equal(ours["image"]["bias"], theirs["image"]["bias"])
    for before, after in (
        (fresh["embed"]["hints"], params["embed"]["hints"]),
        (fresh["neck"], params["neck"]),
        (fresh["decoder"], params["decoder"]),
    ):
        jax.tree.map(np.testing.assert_array_equal, after, before)


def test_mae_starts_embedding_and_blocks(tmp_path, fresh, source):
    arrays = write_names(bare(source), mae_table(4))
    arrays |= {"cls_token": np.ones((1, 1, 64), np.float32)}
    arrays |= {"decoder_embed.weight": np.ones((8, 64), np.float32)}
    path = write_pth(tmp_path / "mae.pth", arrays, under="model")
    params, account = start_from(fresh, path)
    check_backbone(params, source, fresh)
    assert account.unread == ("cls_token", "decoder_embed.weight")
    assert len(account.filled) + len(account.fresh) == len(jax.tree.leaves(fresh))
    assert "started afresh: decoder, embed/hints, neck" in str(account)
    assert account.changed == (
        "embed/image/kernel: [8, 8, 3, 64] resized to [16, 16, 3, 64]",
        "embed/positions: [3, 3, 64] resized to [4, 4, 64]",
    )


def test_dinov2_starts_embedding_and_blocks(tmp_path, fresh, source):
    arrays = write_names(bare(source), dinov2_table(4))
    norm = {"norm.scale": np.ones(64), "norm.bias": np.ones(64)}
    np.savez(tmp_path / "dino.npz", **arrays, **norm)
    params, account = start_from(fresh, tmp_path / "dino.npz")
    check_backbone(params, source, fresh)
    assert account.unread == ("norm.bias", "norm.scale")
    assert "not used, as expected: norm.bias, norm.scale" in str(account)


def test_token_selection_is_fresh_after_simpleclick(tmp_path):
    path, source = write_published(tmp_path, "simpleclick")
    fresh = drawn_params(mst_jax.build(**FORMS["slim-448"]), seed=5)
    params, account = start_from(fresh, path)
    flat, before = flatten_dict(params, sep="/"), flatten_dict(fresh, sep="/")
    theirs = flatten_dict(source, sep="/")
    for name, leaf in flat.items():
        np.testing.assert_array_equal(leaf, theirs.get(name, before[name]))
    assert "started afresh: backbone/insertions_0" in str(account)
    assert account.used == tuple(sorted(theirs)) == account.filled
    assert len(account.unread) == 21


def test_a_checkpoint_of_ours_starts_a_larger_crop(tmp_path):
    model = FORMS["simpleclick"] | {"crop": 32}
    source = drawn_params(mst_jax.build(**model), seed=6)
    store.write_model(tmp_path / "ours", source, {"model": model})
    fresh = drawn_params(mst_jax.build(**FORMS["simpleclick"]), seed=7)
    params, account = start_from(fresh, tmp_path / "ours")
    assert not account.fresh and not account.unread
    assert account.changed == ("embed/positions: [2, 2, 16] resized to [4, 4, 16]",)
    want = resize_positions_bicubic(source["embed"]["positions"], 4, 4)
    np.testing.assert_allclose(params["embed"]["positions"], want, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, params["neck"], source["neck"])


def test_kinds_stay_what_they_were(tmp_path, source):
    fresh = drawn_params(mst_jax.build(**WIDE | {"patch": 8, "crop": 24}))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), fresh)
    arrays = write_names(bare(source), mae_table(4))
    path = write_pth(tmp_path / "mae.pth", arrays, under="model")
    params, account = start_from(half, path)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}
    assert not account.changed


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"width": 32, "num_heads": 2},
            "width 16, 4 blocks, 2 heads, the model width 32",
        ),
        ({"depth": 5}, "4 blocks, 2 heads, the model width 16, 5 blocks"),
        ({"num_heads": 4}, "2 heads, the model width 16, 4 blocks, 4 heads"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, changes, sentence):
    path, _ = write_published(tmp_path, "simpleclick")
    other = drawn_params(mst_jax.build(**FORMS["simpleclick"] | changes))
    with pytest.raises(ValueError, match=rf"simpleclick\.pth.* {sentence}"):
        start_from(other, path)


@pytest.mark.parametrize(("depth", "kept"), [(3, [0, 2, 3]), (2, [0, 3]), (1, [0])])
def test_fewer_blocks_are_taken_evenly(tmp_path, depth, kept):
    path, source = write_published(tmp_path, "simpleclick")
    fresh = drawn_params(mst_jax.build(**FORMS["simpleclick"] | {"depth": depth}))
    params, account = start_from(fresh, path)
    want = {f"block{place}": f"block{number}" for place, number in enumerate(kept)}
    for ours, theirs in want.items():
        got, whole = params["backbone"][ours], source["backbone"][theirs]
        jax.tree.map(np.testing.assert_array_equal, got, whole)
    for room in ("embed", "neck", "decoder"):
        jax.tree.map(np.testing.assert_array_equal, params[room], source[room])
    numbers = ", ".join(map(str, kept))
    assert account.changed == (f"blocks {numbers} of 4 taken",)
    assert not account.fresh
    left_out = flatten_dict(source, sep="/").keys() - set(account.used)
    assert left_out <= set(account.unread)
    blocks = {f"block{number}" for number in set(range(4)) - set(kept)}
    assert {name.split("/")[1] for name in left_out} == blocks


def test_parts_that_do_not_fit_are_fresh(tmp_path):
    path, source = write_published(tmp_path, "adaptiveclick")
    model = FORMS["adaptiveclick"] | {"pyramid": [4, 8, 12, 20]}
    model["queries"] = model["queries"] | {"num_queries": 4, "num_layers": 2}
    fresh = drawn_params(mst_jax.build(**model), seed=8)
    params, account = start_from(fresh, path)
    unfit = {"query_content": "decoder", "query_position": "decoder"}
    unfit |= {"in32": "neck", "pyramid": "neck"}
    assert account.changed == tuple(
        f"{room}/{part} does not fit, started afresh" for part, room in unfit.items()
    )
    for room in ("embed", "backbone", "neck", "decoder"):
        for part, leaves in params[room].items():
            want = fresh if part in unfit else source
            jax.tree.map(np.testing.assert_array_equal, leaves, want[room][part])
    assert "decoder/layer2/cross/out/bias" in account.unread
    assert "neck/in32/bias" in account.unread and "neck/in32/bias" in account.fresh
    assert not set(account.used) & set(account.unread)


def test_the_backbone_must_fit(tmp_path):
    """The head is a size smaller, which is left out; so are blocks, which is wrong."""
    path, _ = write_published(tmp_path, "448")
    other = drawn_params(mst_jax.build(**FORMS["448"] | {"release": "slim-448"}))
    with pytest.raises(ValueError, match=r"448\.pth does not fit: its backbone/insert"):
        start_from(other, path)


def test_a_bare_backbone_of_published_width_has_published_heads(tmp_path, source):
    arrays = write_names(bare(source), mae_table(4))
    path = write_pth(tmp_path / "mae.pth", arrays, under="model")
    other = drawn_params(mst_jax.build(**WIDE | {"num_heads": 2}))
    with pytest.raises(ValueError, match=r"mae\.pth: .* 1 heads, the model .* 2 heads"):
        start_from(other, path)


def test_a_bare_backbone_must_be_whole(tmp_path, fresh, source):
    arrays = write_names(bare(source), mae_table(4))
    del arrays["blocks.2.mlp.fc1.bias"]
    path = write_pth(tmp_path / "mae.pth", arrays, under="model")
    with pytest.raises(
        ValueError, match=r"mae\.pth: it lacks 1 arrays: blocks\.2\.mlp"
    ):
        start_from(fresh, path)
    for name in ("gone.pth", "gone.npz", "gone"):
        with pytest.raises(ValueError, match=rf"{name} is not there"):
            start_from(fresh, tmp_path / name)


def test_what_shall_stay_fresh_is_not_taken(tmp_path, fresh, source):
    """Positions of another size are not even resized."""
    model = {"name": "simpleclick", **WIDE, "patch": 8, "crop": 24, "window": 224}
    store.write_model(tmp_path / "model", source, {"model": model})
    rules = ("embed/positions", "backbone/block[01]/.*", "decoder/.*")
    params, account = start_from(fresh, tmp_path / "model", fresh=rules)
    flat, before = (flatten_dict(tree, sep="/") for tree in (params, fresh))
    for name, leaf in flatten_dict(source, sep="/").items():
        stays = any(re.fullmatch(rule, name) for rule in rules)
        if name.startswith(("backbone", "decoder")) or stays:
            want = before[name] if stays else leaf
            np.testing.assert_array_equal(flat[name], want, err_msg=name)
        assert (name in account.fresh) == stays
    with pytest.raises(ValueError, match=r"config\.fresh: 'positions' matches none"):
        start_from(fresh, tmp_path / "model", fresh=("positions",))
