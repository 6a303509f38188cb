import json
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

import mst_jax
from mst_jax import convert
from mst_jax.checkpoints import model_folder
from mst_jax.checkpoints.formats.weight_file import read_weight_file
from mst_jax.models.load import parameter_shapes
from mst_jax.models.published_mapping import published_parameter_mapping
from mst_jax.models.warm_start import warm_start_params
from tests.helpers.pretrained_vit_file import write_vit_file
from tests.helpers.published_checkpoint import (
    NUM_UNUSED_ARRAYS,
    PUBLISHED_FORMS,
    SMALL_SIZES,
    write_published_file,
)
from tests.helpers.random_models import random_params
from tests.helpers.small_checkpoint import MODEL_CONFIG, SMALL_CONFIG
from tests.helpers.torch_archive import write_pth


def assert_rounded_to_half(loaded, original):
    assert loaded.dtype == np.float32
    expected = np.asarray(original).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(loaded, expected)


def test_half_writes_float16(tmp_path, capsys):
    path, params = write_published_file(tmp_path, "slim-448")
    whole, half = tmp_path / "whole", tmp_path / "half"
    convert.main([str(path), str(whole)])
    convert.main([str(whole), str(half), "--half"])
    assert capsys.readouterr().out.endswith(f"written to {half}\n")
    sizes = [
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for folder in (whole, half)
    ]
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    # Two bytes less for each; the files are compressed.
    assert sizes[0] - sizes[1] > 1.5 * num_params
    model = mst_jax.load(half)
    jax.tree.map(assert_rounded_to_half, model.params, params)
    # Numbers above the range of float16 are an error.
    large = jax.tree.map(lambda leaf: np.asarray(leaf) * np.float32(1e9), params)
    config = model.config.to_dict()
    model_folder.write_model_folder(tmp_path / "large", large, config)
    with pytest.raises(SystemExit):
        convert.main([str(tmp_path / "large"), str(tmp_path / "no"), "--half"])
    assert "too large for float16" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_model_is_packed_into_one_file_and_unpacked(tmp_path, capsys):
    source, params = write_published_file(tmp_path, "slim-448")
    card_path, path = tmp_path / "card.json", tmp_path / "deep" / "x.safetensors"
    card_path.write_text(json.dumps({"name": "x", "license": "MIT", "sha256": "old"}))
    convert.main([str(source), str(path), "--half", "--card", str(card_path)])
    assert capsys.readouterr().out.endswith(f"written to {path}\n")
    card = json.loads(path.with_suffix(".json").read_text())
    assert (card["name"], card["license"]) == ("x", "MIT")
    assert card["sha256"] != "old" and card["config"]["model"]["name"] == "mst"
    packed = mst_jax.load(path)
    jax.tree.map(assert_rounded_to_half, packed.params, params)
    # A packed model is a source like any other.
    convert.main([str(path), str(tmp_path / "folder")])
    unpacked = mst_jax.load(tmp_path / "folder")
    assert unpacked.config == packed.config and unpacked.module == packed.module
    jax.tree.map(np.testing.assert_array_equal, unpacked.params, packed.params)


def test_parameters_of_several_models_are_averaged(tmp_path, capsys):
    params = jax.device_get(random_params(mst_jax.build(**MODEL_CONFIG)))
    factors = {"first": 1.0, "second": 2.0, "third": -1.5}
    for name, factor in factors.items():
        scaled = jax.tree.map(
            lambda leaf, factor=factor: leaf * np.float32(factor), params
        )
        config = SMALL_CONFIG | {"seed": name}
        # A default that one of them names makes no other architecture.
        if name == "second":
            config["model"] = MODEL_CONFIG | {"dtype": "float32"}
        model_folder.write_model_folder(tmp_path / name, scaled, config)
    first, *others = (str(tmp_path / name) for name in factors)
    convert.main([first, str(tmp_path / "mean"), "--mean", *others])
    model = mst_jax.load(tmp_path / "mean")
    assert model.config.seed == "first"
    jax.tree.map(
        lambda mean, leaf: np.testing.assert_allclose(
            mean, 0.5 * leaf, rtol=1e-6, atol=1e-8
        ),
        model.params,
        params,
    )
    # Another architecture is refused, though its parameters have the same shapes.
    wide_config = SMALL_CONFIG | {"model": MODEL_CONFIG | {"window": 64}}
    model_folder.write_model_folder(tmp_path / "wide", params, wide_config)
    with pytest.raises(SystemExit):
        convert.main([first, str(tmp_path / "new"), "--mean", str(tmp_path / "wide")])
    sentence = (
        r"wide \(simpleclick: .*window 64\) does not have the architecture of "
        r".*window 32"
    )
    assert re.search(sentence, capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("form", ["simpleclick", "slim-448", "adaptiveclick"])
def test_published_file_round_trips(tmp_path, capsys, form):
    path, params = write_published_file(tmp_path, form)
    folder, torch_path = tmp_path / "made" / "ours", tmp_path / "back.safetensors"
    # 1. Published file to folder: the report counts every array.
    convert.main([str(path), str(folder)])
    printed = capsys.readouterr().out
    name = PUBLISHED_FORMS[form]["name"]
    assert printed.startswith(f"{name}: crop 64, ")
    arrays = read_weight_file(path).arrays
    num_unused = NUM_UNUSED_ARRAYS.get(form, 0)
    assert f"{len(arrays) - num_unused} arrays used\n" in printed
    assert f"{len(jax.tree.leaves(params))} parameters filled\n" in printed
    model = mst_jax.load(folder)
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    # 2. Folder to published names: the same arrays.
    convert.main([str(folder), str(torch_path), "--to-torch"])
    written = f"{len(arrays)} arrays written to {torch_path}, {num_unused} of which no"
    assert written in capsys.readouterr().out
    written_arrays = safetensors.numpy.load_file(torch_path)
    assert written_arrays.keys() == arrays.keys()
    mapping = published_parameter_mapping(PUBLISHED_FORMS[form], model.module)
    unused_arrays = mapping.unused_arrays
    assert len(unused_arrays) == num_unused
    for key, array in arrays.items():
        written_array = written_arrays[key]
        if key == "backbone.pos_embed":
            # The class token's position is not kept.
            written_array, array = written_array[:, 1:], array[:, 1:]
        expected = unused_arrays.get(key, array)
        np.testing.assert_array_equal(written_array, expected, err_msg=key)
    # 3. Both files are loaded directly.
    for source in (torch_path, path):
        loaded = mst_jax.load(source)
        assert loaded.module == model.module
        jax.tree.map(np.testing.assert_array_equal, loaded.params, params)


@pytest.mark.parametrize("name", ["mae.pth", "dinov2.npz"])
def test_pretrained_vit_becomes_a_model_to_start_from(tmp_path, capsys, name):
    source, params = write_vit_file(tmp_path / name)
    folder = tmp_path / "ours"
    convert.main([str(source), str(folder)])
    printed = capsys.readouterr().out
    assert "reinitialized: decoder, embed/hints, neck\n" in printed
    model = mst_jax.load(folder)
    jax.tree.map(
        np.testing.assert_array_equal, model.params["backbone"], params["backbone"]
    )
    with pytest.warns(UserWarning, match="holds a ViT alone"):
        loaded = mst_jax.load(source)
    jax.tree.map(np.testing.assert_array_equal, model.params, loaded.params)
    zeros = jax.tree.map(np.zeros_like, params)
    started, report = warm_start_params(zeros, folder)
    jax.tree.map(np.testing.assert_array_equal, started, model.params)
    assert not report.reinitialized


def test_config_of_a_run_is_kept(tmp_path):
    """The number of heads, and whatever else shapes do not tell, is stored in the file."""
    changes = {"num_heads": 8, "dropout": 0.3, "dtype": "bfloat16"}
    model_config = PUBLISHED_FORMS["slim-448"] | changes
    config = {"model": model_config, "zoom": {"size": 32}, "crop": 64}
    module = mst_jax.build(**model_config)
    zeros = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, "f4"), parameter_shapes(module)
    )
    run, torch_path = tmp_path / "run", tmp_path / "x.safetensors"
    model_folder.write_model_folder(run, zeros, config)
    # Flags accept underscores as well.
    convert.main([str(run), str(torch_path), "--to_torch"])
    loaded = mst_jax.load(torch_path, dtype="bfloat16")
    assert loaded.module == module and loaded.config.zoom.size == 32
    convert.main([str(torch_path), str(tmp_path / "again")])
    assert model_folder.read_config_json(tmp_path / "again") == config


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone.pth", "new"], r"gone\.pth is not there"),
        (["ours", "new"], r"no checkpoint in .*ours"),
        (["good.pth", "ours"], "ours already exists"),
        (
            ["good.pth", "new", "--to-torch"],
            r"new does not end in \.safetensors",
        ),
        (["good.pth", "taken.safetensors", "--to-torch"], "already exists"),
        (["good.pth", "taken.safetensors"], "already exists"),
        (["good.pth", "new.onnx"], r"new\.onnx has the suffix of another format"),
        (["mae.pth", "new"], r"mae\.pth: it lacks the array patch_embed"),
        (["text.pth", "new"], "not an intact zip archive"),
        (["windows", "new.safetensors", "--to-torch"], "windows of 224 pixels, this"),
        (["good.pth"], "the following arguments are required: DST"),
        (["good.pth", "new", "--to_flax"], "unknown argument --to-flax"),
        (["good.pth", "new", "--mean", "a", "--to-torch"], "--mean writes a model of"),
        (["good.pth", "new", "--card", "a"], r"--card needs NAME\.safetensors"),
        (["good.pth", "new.safetensors", "--card", "a"], "a cannot be read as JSON"),
    ],
)
def test_wrong_use_is_one_clear_error(
    tmp_path, capsys, monkeypatch, arguments, sentence
):
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
        model = {"name": "simpleclick", "window": 32} | SMALL_SIZES
        shapes = parameter_shapes(mst_jax.build(**model))
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f4"), shapes)
        model_folder.write_model_folder(tmp_path / "windows", zeros, {"model": model})
    with pytest.raises(SystemExit) as exit_info:
        convert.main(arguments)
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert error.count("Error") == 0
    assert re.search(sentence, error)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.safetensors").exists()
