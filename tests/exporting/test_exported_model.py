import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

import mst_jax
from mst_jax import export
from mst_jax.annotation.serving.engine import InferenceEngine
from mst_jax.checkpoints import model_folder
from mst_jax.exporting.exported_model import load_model
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.models.trained_model import TrainedModel
from tests.helpers.exported_models import SIDE, network_inputs, small_model

SUFFIXES = ("onnx", "stablehlo")


@pytest.fixture(scope="module")
def exported_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    model = small_model("mst")
    model_folder.write_model_folder(
        folder / "model", model.params, model.config.to_dict()
    )
    for suffix in SUFFIXES:
        export.main([str(folder / "model"), str(folder / f"network.{suffix}")])
    return folder


def click_session(model, image):
    predictor = mst_jax.Predictor(model)
    predictor.set_image(image)
    probs = []
    for row, column, is_positive in ((40, 40, 1), (5, 60, 0), (80, 20, 1)):
        predictor.click(row, column, is_positive)
        probs.append(predictor.prob)
    predictor.undo()
    return probs, predictor.mask


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_predictor_has_the_masks_of_the_model(suffix, exported_folder, rng):
    loaded = mst_jax.load_exported(exported_folder / f"network.{suffix}")
    image = rng.integers(0, 256, (90, 77, 3)).astype(np.uint8)
    probs, mask = click_session(loaded, image)
    expected, expected_mask = click_session(small_model("mst"), image)
    np.testing.assert_allclose(probs, expected, atol=1e-5)
    np.testing.assert_array_equal(mask, expected_mask)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_wrong_size_and_types_are_one_sentence(suffix, exported_folder):
    loaded = mst_jax.load_exported(exported_folder / f"network.{suffix}")
    image, _, prev_mask = network_inputs(1)
    clicks = mst_jax.Clicks.empty(1, num_slots=2)
    with pytest.raises(ValueError, match="for images of 64x64 pixels, got 32x64"):
        loaded(image[:, :32], clicks, prev_mask[:, :32])
    with pytest.raises(ValueError, match="divide an image from 0 to 255 by 255"):
        loaded(image * 255, clicks, prev_mask)
    predictor = mst_jax.Predictor(loaded, zoom=ZoomOptions(size=32))
    predictor.set_image(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(ValueError, match="for images of 64x64 pixels, got 32x32"):
        predictor.click(3, 3)


def test_exported_model_has_no_token_selections(exported_folder, rng):
    loaded = mst_jax.load_exported(exported_folder / "network.stablehlo")
    predictor = mst_jax.Predictor(loaded)
    predictor.set_image(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    predictor.click(30, 30)
    with pytest.raises(ValueError, match="returns no tokens"):
        predictor.selected_tokens()
    assert not InferenceEngine(loaded).has_token_selection


def test_calls_inside_jit_use_onnxruntime(exported_folder):
    loaded = mst_jax.load_exported(exported_folder / "network.onnx")
    image, clicks, prev_mask = network_inputs(3)
    unpacked = mst_jax.Clicks(clicks[..., :2], clicks[..., 2].astype(np.int32))
    expected = loaded(image, unpacked, prev_mask)
    assert expected.shape == (3, SIDE, SIDE) and expected.dtype == jnp.float32
    compiled = jax.jit(lambda *inputs: loaded(*inputs) + 1)
    np.testing.assert_allclose(compiled(image, unpacked, prev_mask), expected + 1)


def test_commands_load_both_kinds(exported_folder):
    assert isinstance(load_model(exported_folder / "model"), TrainedModel)
    loaded = load_model(exported_folder / "network.onnx")
    assert loaded.config["zoom"]["size"] == SIDE


def test_exported_files_have_a_dtype_of_their_own(exported_folder):
    path = exported_folder / "network.onnx"
    with pytest.raises(ValueError, match="--dtype is float32, but the exported file"):
        load_model(path, dtype="float32")


def test_wrong_files_are_one_sentence(exported_folder, tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        mst_jax.load_exported(tmp_path / "no.onnx")
    for suffix in SUFFIXES:
        (tmp_path / f"bad.{suffix}").write_bytes(b"something else")
    (tmp_path / "bad.json").write_bytes((exported_folder / "network.json").read_bytes())
    with pytest.raises(ValueError, match="is not an ONNX file that onnxruntime"):
        mst_jax.load_exported(tmp_path / "bad.onnx")
    with pytest.raises(ValueError, match="is not a StableHLO file that this JAX"):
        mst_jax.load_exported(tmp_path / "bad.stablehlo")
    (tmp_path / "bad.json").unlink()
    with pytest.raises(ValueError, match=r"bad\.json, which describes bad\.stablehlo"):
        mst_jax.load_exported(tmp_path / "bad.stablehlo")
    # An ONNX file of another program.
    model = onnx.load(exported_folder / "network.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"was not written by mst_jax\.export"):
        mst_jax.load_exported(tmp_path / "other.onnx")


def test_whole_click_is_not_a_network(exported_folder, tmp_path):
    path = tmp_path / "click.onnx"
    model = onnx.load(exported_folder / "network.onnx")
    (stored_facts,) = model.metadata_props
    stored_facts.value = stored_facts.value.replace('"network"', '"click"')
    onnx.save(model, path)
    with pytest.raises(ValueError, match="holds a whole click"):
        mst_jax.load_exported(path)
