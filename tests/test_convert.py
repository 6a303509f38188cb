import re

import jax
import numpy as np
import pytest
import safetensors.numpy

import mst_jax
from mst_jax import convert
from mst_jax.checkpoints import store
from mst_jax.checkpoints.torch_file import read_torch_file
from mst_jax.models.detect_architecture import names_of
from mst_jax.models.load import shapes_of_params
from mst_jax.models.warm_start import start_from
from tests.helpers.pretrained_vit_file import write_bare
from tests.helpers.published_checkpoint import FORMS, NUM_IDLE, SMALL, write_published
from tests.helpers.small_checkpoint import CONFIG, MODEL
from tests.helpers.torch_archive import write_pth
from tests.models.test_simpleclick import drawn_params


def test_a_model_of_half_the_size(tmp_path, capsys):
    path, params = write_published(tmp_path, "slim-448")
    whole, half = tmp_path / "whole", tmp_path / "half"
    convert.main([str(path), str(whole)])
    convert.main([str(whole), str(half), "--half"])
    assert capsys.readouterr().out.endswith(f"written to {half}\n")
    sizes = [
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for folder in (whole, half)
    ]
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sizes[0] - sizes[1] > 1.5 * num_params  # two bytes each, less what is packed
    model = mst_jax.load(half)

    def check(got, want):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want.astype(np.float16).astype(np.float32))

    jax.tree.map(check, model.params, params)
    # What does not fit is told, not written.
    config = model.config.to_dict()
    large = jax.tree.map(lambda leaf: leaf * 1e9, params)
    store.write_model(tmp_path / "large", large, config)
    with pytest.raises(SystemExit):
        convert.main([str(tmp_path / "large"), str(tmp_path / "no"), "--half"])
    assert "too large for float16" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_the_mean_of_several_models(tmp_path, capsys):
    params = drawn_params(mst_jax.build(**MODEL))
    factors = {"one": 1.0, "two": 2.0, "three": -1.5}
    for name, factor in factors.items():
        changed = jax.tree.map(lambda leaf, factor=factor: leaf * factor, params)
        # A default that one of them names is no other form.
        config = {"model": MODEL | {"dtype": "float32"}} if name == "two" else {}
        store.write_model(tmp_path / name, changed, CONFIG | {"seed": name} | config)
    one, *others = (str(tmp_path / name) for name in factors)
    convert.main([one, str(tmp_path / "mean"), "--mean", *others])
    model = mst_jax.load(tmp_path / "mean")
    assert model.config.seed == "one"

    def check(got, want):
        np.testing.assert_allclose(got, 0.5 * want, rtol=1e-6, atol=1e-8)

    jax.tree.map(check, model.params, params)
    # Another form is refused, though its parameters have the same shapes.
    store.write_model(
        tmp_path / "wide", params, CONFIG | {"model": MODEL | {"window": 64}}
    )
    with pytest.raises(SystemExit):
        convert.main([one, str(tmp_path / "new"), "--mean", str(tmp_path / "wide")])
    sentence = (
        r"wide \(simpleclick: .*window 64\) is no model of the form of .*window 32"
    )
    assert re.search(sentence, capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("form", ["simpleclick", "slim-448", "adaptiveclick"])
def test_there_and_back(tmp_path, capsys, form):
    path, params = write_published(tmp_path, form)
    folder, back = tmp_path / "made" / "ours", tmp_path / "back.safetensors"
    convert.main([str(path), str(folder)])
    printed = capsys.readouterr().out
    name = FORMS[form]["name"]
    assert printed.startswith(f"{name}: crop 64, depth 4, ")
    arrays = read_torch_file(path).arrays
    num_idle = NUM_IDLE.get(form, 0)
    assert f"{len(arrays) - num_idle} arrays used\n" in printed
    assert f"{len(jax.tree.leaves(params))} parameters filled\n" in printed
    model = mst_jax.load(folder)
    jax.tree.map(np.testing.assert_array_equal, model.params, params)

    convert.main([str(folder), str(back), "--to-torch"])
    said = f"{len(arrays)} arrays written to {back}, {num_idle} of which no prediction"
    assert said in capsys.readouterr().out
    written = safetensors.numpy.load_file(back)
    assert written.keys() == arrays.keys()
    idle = names_of(FORMS[form], model.module).unread
    assert len(idle) == num_idle
    for key, array in arrays.items():
        got = written[key]
        if key == "backbone.pos_embed":
            got, array = got[:, 1:], array[:, 1:]
        np.testing.assert_array_equal(got, idle.get(key, array), err_msg=key)
    for again in (back, path):
        loaded = mst_jax.load(again)
        assert loaded.module == model.module
        jax.tree.map(np.testing.assert_array_equal, loaded.params, params)


@pytest.mark.parametrize("name", ["mae.pth", "dinov2.npz"])
def test_a_vit_alone_becomes_a_model_to_start_from(tmp_path, capsys, name):
    source, params = write_bare(tmp_path / name)
    folder = tmp_path / "ours"
    convert.main([str(source), str(folder)])
    printed = capsys.readouterr().out
    assert "started afresh: decoder, embed/hints, neck\n" in printed
    model = mst_jax.load(folder)
    jax.tree.map(
        np.testing.assert_array_equal, model.params["backbone"], params["backbone"]
    )
    again = mst_jax.load(source)
    jax.tree.map(np.testing.assert_array_equal, model.params, again.params)
    fresh = jax.tree.map(np.zeros_like, params)
    started, account = start_from(fresh, folder)
    jax.tree.map(np.testing.assert_array_equal, started, model.params)
    assert not account.fresh


def test_a_run_of_ours_keeps_its_config(tmp_path):
    """Head counts, and whatever else shapes do not tell, go with the file."""
    model = FORMS["slim-448"] | {"num_heads": 8, "dropout": 0.3, "dtype": "bfloat16"}
    config = {"model": model, "evaluation": {"zoom": 32}, "crop": 64}
    module = mst_jax.build(**model)
    zeros = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, "f4"), shapes_of_params(module)
    )
    store.write_model(tmp_path / "run", zeros, config)
    convert.main([str(tmp_path / "run"), str(tmp_path / "x.safetensors"), "--to-torch"])
    loaded = mst_jax.load(tmp_path / "x.safetensors")
    assert loaded.module == module and loaded.config.evaluation.zoom == 32
    convert.main([str(tmp_path / "x.safetensors"), str(tmp_path / "again")])
    assert store.read_config(tmp_path / "again") == config


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone.pth", "new"], r"gone\.pth is not there"),
        (["ours", "new"], r"no checkpoint in .*ours"),
        (["good.pth", "ours"], "ours exists already"),
        (
            ["good.pth", "new", "--to-torch"],
            r"new has another ending than \.safetensors",
        ),
        (["good.pth", "taken.safetensors", "--to-torch"], "exists already"),
        (["mae.pth", "new"], r"mae\.pth: it lacks the array patch_embed"),
        (["text.pth", "new"], "not a whole zip archive"),
        (["windows", "new.safetensors", "--to-torch"], "windows of 224 pixels, this"),
        (["good.pth"], "the following arguments are required: DST"),
        (["good.pth", "new", "--to_flax"], "unrecognized arguments"),
        (["good.pth", "new", "--mean", "a", "--to-torch"], "--mean makes a folder"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, capsys, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()
    (tmp_path / "taken.safetensors").touch()
    (tmp_path / "text.pth").write_text("x")
    if "good.pth" in arguments:
        write_pth(tmp_path / "good.pth", {"a": np.ones(1, np.float32)})
    if "mae.pth" in arguments:
        arrays = {"blocks.0.attn.qkv.weight": np.ones((6, 2), np.float32)}
        write_pth(tmp_path / "mae.pth", arrays, under="model")
    if "windows" in arguments:
        model = {"name": "simpleclick", "window": 32} | SMALL
        shapes = shapes_of_params(mst_jax.build(**model))
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f4"), shapes)
        store.write_model(tmp_path / "windows", zeros, {"model": model})
    with pytest.raises(SystemExit) as stop:
        convert.main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("Error") == 0
    assert re.search(sentence, error)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.safetensors").exists()
