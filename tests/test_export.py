import json
import subprocess
import sys

import jax
import numpy as np
import onnxruntime
import pytest
from jax import export as jax_export

import mst_jax
from mst_jax import export
from mst_jax.checkpoints import model_folder
from tests.helpers.exported_models import (
    SIDE,
    SMALL_RECIPES,
    jax_logits,
    network_inputs,
    relative_error,
    small_model,
)
from tests.helpers.hidden_modules import ROOT


def write_checkpoint(folder, recipe="simpleclick"):
    model = small_model(recipe)
    model_folder.write_model_folder(folder, model.params, model.config.to_dict())
    return model


def run_command(*words):
    export.main([str(word) for word in words])


def error_of(capsys, *words):
    with pytest.raises(SystemExit) as raised:
        run_command(*words)
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].count("error: ") == 1
    return error.splitlines()[-1]


@pytest.mark.parametrize("recipe", SMALL_RECIPES)
def test_onnx_has_the_logits_of_every_recipe(recipe, tmp_path, capsys):
    model = write_checkpoint(tmp_path / "model", recipe)
    run_command(tmp_path / "model", tmp_path / "a.onnx")
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'a.onnx'}: network, ")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    for num_examples, num_slots in ((1, 5), (3, 5), (8, 26)):
        inputs = network_inputs(num_examples, num_slots)
        names = ("image", "clicks", "prev_mask")
        (logits,) = session.run(None, dict(zip(names, inputs, strict=True)))
        expected = jax_logits(model, *inputs)
        assert logits.shape == (num_examples, SIDE, SIDE)
        assert np.ptp(expected) > 1e-3
        assert relative_error(logits, expected) < 1e-4


@pytest.mark.parametrize("recipe", ["mst", "adaptiveclick"])
def test_stablehlo_is_loaded_by_jax_alone(recipe, tmp_path):
    model = write_checkpoint(tmp_path / "model", recipe)
    run_command(tmp_path / "model", tmp_path / "a.stablehlo")
    exported = jax_export.deserialize((tmp_path / "a.stablehlo").read_bytes())
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for num_examples in (1, 3, 8):
        inputs = network_inputs(num_examples)
        (logits,) = exported.call(*inputs)
        assert relative_error(logits, jax_logits(model, *inputs)) < 1e-4


def test_half_stores_the_rounded_parameters(tmp_path):
    model = write_checkpoint(tmp_path / "model")
    for suffix in ("onnx", "stablehlo"):
        for name, flags in (("full", ()), ("half", ("--half",))):
            run_command(tmp_path / "model", tmp_path / f"{name}.{suffix}", *flags)
        half, full = (tmp_path / f"{name}.{suffix}" for name in ("half", "full"))
        num_params = sum(leaf.size for leaf in jax.tree.leaves(model.params))
        assert full.stat().st_size - half.stat().st_size > 1.5 * num_params
        rounded = jax.tree.map(
            lambda leaf: leaf.astype(np.float16).astype(np.float32), model.params
        )
        rounded_model = type(model)(rounded, model.module, model.config)
        inputs = network_inputs(2)
        clicks = mst_jax.Clicks(inputs[1][..., :2], inputs[1][..., 2].astype(np.int32))
        logits = mst_jax.load_exported(half)(inputs[0], clicks, inputs[2])
        assert relative_error(logits, jax_logits(rounded_model, *inputs)) < 1e-4


@pytest.mark.parametrize(
    ("flags", "name"),
    [(("--dtype", "float16"), "a.onnx"), (("--dtype", "bfloat16"), "a.stablehlo")],
)
def test_products_of_16_bits(flags, name, tmp_path):
    model = write_checkpoint(tmp_path / "model")
    run_command(tmp_path / "model", tmp_path / name, *flags)
    inputs = network_inputs(1)
    clicks = mst_jax.Clicks(inputs[1][..., :2], inputs[1][..., 2].astype(np.int32))
    logits = mst_jax.load_exported(tmp_path / name)(inputs[0], clicks, inputs[2])
    assert relative_error(logits, jax_logits(model, *inputs)) < 2e-2


def test_whole_click_has_the_masks_of_the_predictor(tmp_path, rng):
    model = write_checkpoint(tmp_path / "model")
    run_command(tmp_path / "model", tmp_path / "c.onnx", "--whole-click")
    run_command(tmp_path / "model", tmp_path / "c.stablehlo", "--whole-click")
    session = onnxruntime.InferenceSession(tmp_path / "c.onnx")
    exported = jax_export.deserialize((tmp_path / "c.stablehlo").read_bytes())
    image = rng.integers(0, 256, (90, 77, 3)).astype(np.uint8)
    predictor = mst_jax.Predictor(model)
    predictor.set_image(image)
    prob, roi = np.zeros((1, 90, 77), np.float32), np.full((1, 4), -1, np.int32)
    clicks = []
    for click in [(40, 40, 1), (10, 60, 0), (80, 20, 1), (50, 55, 1)]:
        clicks.append(click)
        inputs = {"image": image[None], "clicks": np.array([clicks], np.float32)}
        inputs |= {"prob": prob, "roi": roi}
        stablehlo_prob, stablehlo_roi = exported.call(*inputs.values())
        prob, roi = session.run(None, inputs)
        predictor.click(*click[:2], click[2])
        np.testing.assert_allclose(prob[0], predictor.prob, atol=1e-5)
        np.testing.assert_allclose(stablehlo_prob, prob, atol=1e-5)
        np.testing.assert_array_equal(stablehlo_roi, roi)
    assert np.ptp(prob) > 1e-3


def test_facts_are_stored_with_the_file(tmp_path):
    write_checkpoint(tmp_path / "model")
    flags = ("--zoom", "32", "--no-flip-tta")
    run_command(tmp_path / "model", tmp_path / "a.onnx", *flags)
    run_command(tmp_path / "model", tmp_path / "a.stablehlo", *flags)
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    stored = session.get_modelmeta().custom_metadata_map["mst_jax"]
    facts = json.loads(stored)
    assert facts == json.loads((tmp_path / "a.json").read_text())
    assert facts["size"] == [32, 32] and facts["kind"] == "network"
    assert facts["zoom"]["size"] == 32 and facts["zoom"]["flip_tta"] is False


def test_wrong_calls_are_one_sentence(tmp_path, capsys):
    write_checkpoint(tmp_path / "model")
    model = tmp_path / "model"
    onnx_path, jax_path = tmp_path / "a.onnx", tmp_path / "a.stablehlo"
    assert "a file that ends in .onnx or .stablehlo" in error_of(
        capsys, model, tmp_path / "a.pt"
    )
    assert "a file that ends in .onnx" in error_of(
        capsys, model, jax_path, "--format", "onnx"
    )
    assert "onnx files are written as float32 or float16" in error_of(
        capsys, model, onnx_path, "--dtype", "bfloat16"
    )
    assert "stablehlo files are written as float32 or bfloat16" in error_of(
        capsys, model, jax_path, "--dtype", "float16"
    )
    assert "such as 448x672" in error_of(capsys, model, onnx_path, "--size", "12")
    assert "the zoom shows the network 64x64" in error_of(
        capsys, model, onnx_path, "--size", "64x96"
    )
    assert "give --size HxW" in error_of(capsys, model, onnx_path, "--zoom", "none")
    assert "whole patches" in error_of(capsys, model, onnx_path, "--zoom", "50")
    assert "no model" in error_of(capsys, tmp_path / "no", onnx_path)
    assert not onnx_path.exists() and not jax_path.exists()


def test_network_without_zoom_has_one_size(tmp_path):
    model = write_checkpoint(tmp_path / "model")
    path = tmp_path / "a.onnx"
    run_command(tmp_path / "model", path, "--zoom", "none", "--size", "48x80")
    loaded = mst_jax.load_exported(path)
    rng = np.random.default_rng(0)
    image = rng.random((1, 48, 80, 3), np.float32)
    clicks = mst_jax.Clicks.empty(1, num_slots=2)
    logits = loaded(image, clicks, image[..., 0])
    assert relative_error(logits, model(image, clicks, image[..., 0])) < 1e-4
    predictor = mst_jax.Predictor(loaded)
    predictor.set_image(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="exported for images of 48x80 pixels"):
        predictor.click(3, 3)


@pytest.mark.slow
def test_onnx_file_needs_only_onnxruntime_and_numpy(tmp_path):
    write_checkpoint(tmp_path / "model", "mst")
    run_command(tmp_path / "model", tmp_path / "a.onnx", "--whole-click", "--half")
    program = (
        "import sys, numpy as np, onnxruntime\n"
        "session = onnxruntime.InferenceSession(sys.argv[1])\n"
        "image = np.zeros((1, 70, 80, 3), np.uint8)\n"
        "prob, roi = np.zeros((1, 70, 80), np.float32), np.full((1, 4), -1, np.int32)\n"
        "clicks = np.array([[[30, 40, 1]]], np.float32)\n"
        "prob, roi = session.run(None, dict(image=image, clicks=clicks, prob=prob, "
        "roi=roi))\n"
        "assert prob.shape == (1, 70, 80), prob.shape\n"
        "assert not {'jax', 'mst_jax', 'onnx'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.onnx"],
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": "", "PATH": str(ROOT)},
    )
