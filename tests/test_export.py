import json
import os
import re
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
    jax_logits,
    network_inputs,
    pad_network_inputs,
    relative_error,
    small_model,
)
from tests.helpers.hidden_modules import ROOT

SUFFIXES = ("onnx", "stablehlo")


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


@pytest.mark.parametrize(
    "recipe",
    [
        # It has the operations of the others; other tests export SimpleClick.
        "mst_adaptive",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("simpleclick", "mst", "adaptiveclick")
        ),
    ],
)
def test_onnx_has_the_logits_of_every_recipe(recipe, tmp_path, capsys):
    model = write_checkpoint(tmp_path / "model", recipe)
    run_command(tmp_path / "model", tmp_path / "a.onnx")
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'a.onnx'}: network, ")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    shapes = ((8, 26), (1, 5), (3, 5))
    for num_examples, num_slots in shapes:
        inputs = network_inputs(num_examples, num_slots)
        names = ("image", "clicks", "prev_mask")
        (logits,) = session.run(None, dict(zip(names, inputs, strict=True)))
        # JAX compiles for each shape: it gets all inputs in the first one.
        padded_inputs = pad_network_inputs(*inputs, *shapes[0])
        expected = jax_logits(model, *padded_inputs)[:num_examples]
        assert logits.shape == (num_examples, SIDE, SIDE)
        assert np.ptp(expected) > 1e-3
        assert relative_error(logits, expected) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mst", "adaptiveclick"])
def test_stablehlo_is_loaded_by_jax_alone(recipe, tmp_path):
    model = write_checkpoint(tmp_path / "model", recipe)
    run_command(tmp_path / "model", tmp_path / "a.stablehlo")
    exported = jax_export.deserialize(
        bytearray((tmp_path / "a.stablehlo").read_bytes())
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for num_examples in (1, 3, 8):
        inputs = network_inputs(num_examples)
        (logits,) = exported.call(*inputs)
        assert relative_error(logits, jax_logits(model, *inputs)) < 1e-4


SMALL_ZOOM = ("--zoom", "32", "--no-flip-tta")


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A folder with a checkpoint, `model`, and `full.onnx` and `full.stablehlo`."""
    folder = tmp_path_factory.mktemp("exports")
    write_checkpoint(folder / "model")
    for suffix in SUFFIXES:
        run_command(folder / "model", folder / f"full.{suffix}", *SMALL_ZOOM)
    return folder


def test_half_stores_the_rounded_parameters(exports, tmp_path):
    model = small_model("simpleclick")
    folder = exports
    for suffix in SUFFIXES:
        half, full = tmp_path / f"half.{suffix}", folder / f"full.{suffix}"
        run_command(folder / "model", half, "--half", *SMALL_ZOOM)
        num_params = sum(leaf.size for leaf in jax.tree.leaves(model.params))
        assert full.stat().st_size - half.stat().st_size > 1.5 * num_params
        rounded = jax.tree.map(
            lambda leaf: leaf.astype(np.float16).astype(np.float32), model.params
        )
        rounded_model = type(model)(rounded, model.module, model.config)
        inputs = network_inputs(2, side=32)
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


@pytest.fixture(scope="module")
def click_folder(tmp_path_factory):
    """Export whole clicks in another process.

    Their images have symbolic sizes, which are no `int` for the type checks of the
    tests.
    """
    folder = tmp_path_factory.mktemp("clicks")
    write_checkpoint(folder / "model", "mst")
    program = "import sys; from mst_jax import export\n" + "".join(
        f"export.main(['model', 'click.{suffix}', '--whole-click'])\n"
        for suffix in ("onnx", "stablehlo")
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder, env=env)
    return folder


def test_whole_click_has_the_masks_of_the_predictor(click_folder, rng):
    model = small_model("mst")
    session = onnxruntime.InferenceSession(click_folder / "click.onnx")
    data = (click_folder / "click.stablehlo").read_bytes()
    exported = jax_export.deserialize(bytearray(data))
    image = rng.integers(0, 256, (90, 77, 3)).astype(np.uint8)
    predictor = mst_jax.Predictor(model)
    predictor.set_image(image)
    prob, roi = np.zeros((1, 90, 77), np.float32), np.full((1, 4), -1, np.int32)
    clicks = []
    for click in [(40, 40, 1), (10, 60, 0), (80, 20, 1), (50, 55, 1)]:
        clicks.append(click)
        inputs = {"image": image[None], "clicks": np.array([clicks], np.float32)}
        inputs |= {"prob": prob, "roi": roi}
        prob, roi = session.run(None, inputs)
        predictor.click(*click[:2], click[2])
        np.testing.assert_allclose(prob[0], predictor.prob, atol=1e-5)
    # JAX compiles for each number of clicks: only the last click is compared.
    stablehlo_prob, stablehlo_roi = exported.call(*inputs.values())
    np.testing.assert_allclose(stablehlo_prob, prob, atol=1e-5)
    np.testing.assert_array_equal(stablehlo_roi, roi)
    assert np.ptp(prob) > 1e-3


def test_facts_are_stored_with_the_file(exports):
    folder = exports
    session = onnxruntime.InferenceSession(folder / "full.onnx")
    stored = session.get_modelmeta().custom_metadata_map["mst_jax"]
    facts = json.loads(stored)
    assert facts == json.loads((folder / "full.json").read_text())
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
    assert "not whole 16-pixel patches" in error_of(
        capsys, model, onnx_path, "--zoom", "50"
    )
    assert "is not there" in error_of(capsys, tmp_path / "no", onnx_path)
    assert not onnx_path.exists() and not jax_path.exists()


def test_web_writes_a_page_with_the_network(tmp_path, capsys, monkeypatch):
    from mst_jax.exporting import web_page

    monkeypatch.setattr(
        web_page, "read_package_files", lambda _, names: dict.fromkeys(names, b"x")
    )
    model = write_checkpoint(tmp_path / "model", "mst")
    page_dir = tmp_path / "page"
    run_command(tmp_path / "model", page_dir, "--format", "web", "--no-flip-tta")
    assert capsys.readouterr().out.startswith(f"{page_dir}: click page, ")
    manifest = json.loads((page_dir / "manifest.json").read_text())
    assert manifest["zoom"]["size"] == SIDE
    assert manifest["zoom"]["max_growths"] == 2  # for a person who clicks
    assert manifest["zoom"]["flip_tta"] is False
    # The logits with which the browser is checked are those of the JAX model.
    check = manifest["check"]
    expected = jax_logits(model, *web_page.make_check_inputs(SIDE).values())
    np.testing.assert_allclose(
        check["logits"], expected.ravel()[:: check["step"]], atol=1e-3
    )
    assert "is not an empty folder" in error_of(
        capsys, tmp_path / "model", page_dir, "--format", "web"
    )
    for flags in (("--whole-click",), ("--zoom", "none")):
        assert "leave it out" in error_of(
            capsys, tmp_path / "model", tmp_path / "b", "--format", "web", *flags
        )
    assert not (tmp_path / "b").exists()


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


def test_program_of_the_page_needs_only_onnxruntime_and_numpy(click_folder, rng):
    model, tmp_path = small_model("mst"), click_folder
    image = rng.integers(0, 256, (90, 77, 3)).astype(np.uint8)
    (tmp_path / "photo.ppm").write_bytes(b"P6\n77 90\n255\n" + image.tobytes())
    page = (ROOT / "docs" / "export.md").read_text()
    (program,) = re.findall(r"```python\n(import numpy.*?)```", page, re.DOTALL)
    assert program.count("\n") <= 25
    # Other packages cannot be imported.
    hidden = ("jax", "jaxlib", "flax", "mst_jax", "onnx", "PIL", "cv2")
    hide = f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
    subprocess.run([sys.executable, "-c", hide + program], check=True, cwd=tmp_path)
    predictor = mst_jax.Predictor(model)
    predictor.set_image(image)
    (clicks,) = re.findall(r"in (\[\(.*?\)\]):", program)
    for row, column, label in json.loads(clicks.translate({40: "[", 41: "]"})):
        predictor.click(row, column, label)
    header, pixels = b"P5 77 90 255\n", (tmp_path / "mask.pgm").read_bytes()
    assert pixels.startswith(header)
    mask = np.frombuffer(pixels[len(header) :], np.uint8).reshape(90, 77)
    np.testing.assert_array_equal(mask == 255, predictor.mask)
