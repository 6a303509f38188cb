import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

import mst_jax
from mst_jax.checkpoints import model_folder, packed_model
from mst_jax.checkpoints.formats.weight_file import read_weight_file
from mst_jax.checkpoints.parameter_mapping import flatten_params
from mst_jax.models.load import (
    build_published_model,
    parameter_shapes,
    with_compute_dtype,
)
from mst_jax.structs import Clicks
from tests.helpers.pretrained_vit_file import WIDE_HEAD_SIZES, write_vit_file
from tests.helpers.published_checkpoint import write_published_file
from tests.helpers.random_models import SMALL_SIMPLECLICK, random_inputs, random_params
from tests.helpers.torch_archive import make_published_config, write_nested_pth

CONFIG = {
    "model": {
        **{"name": "simpleclick", "size": "tiny"},
        **SMALL_SIMPLECLICK,
        "depth": 2,
    },
    "crop": 64,
}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    module = mst_jax.build(**CONFIG["model"])
    params = random_params(module)
    model_folder.write_model_folder(folder, params, CONFIG)
    return folder, module, params


@pytest.fixture(scope="module")
def loaded_model(saved_model):
    return mst_jax.load(saved_model[0])


def test_saved_model_is_loaded(saved_model, loaded_model):
    _, module, params = saved_model
    assert loaded_model.module == module
    assert loaded_model.config.model.width == 16
    jax.tree.map(np.testing.assert_array_equal, loaded_model.params, params)
    inputs = random_inputs(64, 96)
    expected = jax.jit(module.apply)({"params": params}, *inputs).logits
    np.testing.assert_allclose(loaded_model(*inputs), expected, atol=1e-6)
    outputs = loaded_model.forward(*inputs)
    np.testing.assert_array_equal(outputs.logits, loaded_model(*inputs))


def test_compute_dtype_is_chosen_and_parameters_stay(saved_model, loaded_model):
    assert loaded_model.compute_dtype == "float32"
    model = mst_jax.load(saved_model[0], dtype="bfloat16")
    assert model.compute_dtype == "bfloat16" and model.config == loaded_model.config
    jax.tree.map(np.testing.assert_array_equal, model.params, loaded_model.params)
    inputs = random_inputs(64, 96)
    logits, exact_logits = model(*inputs), loaded_model(*inputs)
    difference = float(jnp.abs(logits - exact_logits).max())
    assert 0 < difference < 0.05 * float(jnp.abs(exact_logits).max())
    assert with_compute_dtype(model, "float32").module == loaded_model.module
    with pytest.raises(ValueError, match="dtype is 'float16', expected 'float32' or"):
        mst_jax.load(saved_model[0], dtype="float16")


def test_run_in_bfloat16_is_predicted_in_float32_by_a_cpu_without_it(tmp_path):
    config = {**CONFIG, "model": {**CONFIG["model"], "dtype": "bfloat16"}}
    params = random_params(mst_jax.build(**CONFIG["model"]))
    model_folder.write_model_folder(tmp_path / "run", params, config)
    assert mst_jax.load(tmp_path / "run").compute_dtype == "float32"


def test_any_batch_and_image_size_is_predicted(loaded_model):
    image, clicks, prev_mask = random_inputs(32, 48)
    both = loaded_model(image, clicks, prev_mask)
    assert both.shape == (2, 32, 48)
    first = loaded_model(
        *jax.tree.map(lambda leaf: leaf[:1], (image, clicks, prev_mask))
    )
    np.testing.assert_allclose(first, both[:1], atol=1e-5)


def test_new_parameters_do_not_compile_again(loaded_model):
    inputs = random_inputs(64, 64)
    traces = []

    @jax.jit
    def predict(model):
        traces.append(1)
        return model(*inputs)

    first = predict(loaded_model)
    halved = jax.tree.map(lambda leaf: 0.5 * leaf, loaded_model)
    assert np.abs(predict(halved) - first).max() > 0
    assert len(traces) == 1


def wrong_inputs():
    image, clicks, prev_mask = random_inputs(64, 64)
    yield (image[:, :60], clicks, prev_mask[:, :60]), "60x64, not whole 16-pixel"
    yield (image[0], clicks, prev_mask), r"\[64, 64, 3\], expected float"
    yield ((255 * image).astype(jnp.uint8), clicks, prev_mask), "divide uint8"
    yield (image, clicks, prev_mask[:, :32]), r"prev_mask is \[2, 32, 64\]"
    alone = Clicks(clicks.yx[0], clicks.label[0])
    yield (image, alone, prev_mask), r"expected \[2 k 2\]"


@pytest.mark.parametrize(("inputs", "sentence"), wrong_inputs())
def test_wrong_input_is_one_clear_error(loaded_model, inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        loaded_model(*inputs)


def test_parameter_shapes_are_those_of_real_parameters(saved_model):
    _, module, params = saved_model
    shapes = parameter_shapes(module)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda s: s.shape, shapes)


def test_wrong_path_is_one_clear_error(tmp_path, saved_model):
    with pytest.raises(ValueError, match="gone is not there; expected the workdir"):
        mst_jax.load(tmp_path / "gone")
    with pytest.raises(ValueError, match="no checkpoint in"):
        mst_jax.load(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="file is not a checkpoint that can be read"):
        mst_jax.load(tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 32}, "holds another model: backbone/block0/attention/key/bias"),
        ({"depth": 3}, "backbone/block2/.* is missing"),
        ({"depth": 1}, "the config's model has none"),
        ({"name": "sam"}, "no model 'sam'"),
    ],
)
def test_parameters_of_another_model_are_refused(
    tmp_path, saved_model, change, sentence
):
    _, _, params = saved_model
    folder = tmp_path / "copy"
    config = {"model": CONFIG["model"] | change}
    model_folder.write_model_folder(folder, params, config)
    with pytest.raises(ValueError, match=sentence):
        mst_jax.load(folder)


@pytest.mark.parametrize("is_packed", [False, True])
def test_parameters_that_are_not_finite_are_refused(tmp_path, saved_model, is_packed):
    flat_params = flatten_params(saved_model[2])
    name = "decoder/logits/bias"
    flat_params[name] = np.full_like(flat_params[name], np.inf)
    path = tmp_path / ("x.safetensors" if is_packed else "folder")
    if is_packed:
        packed_model.write_packed_model(path, flat_params, CONFIG)
    else:
        params = unflatten_dict(flat_params, sep="/")
        model_folder.write_model_folder(path, params, CONFIG)
    with pytest.raises(
        ValueError, match=f"its parameter {name} holds numbers that are"
    ):
        mst_jax.load(path)


def test_a_packed_model_may_have_any_name(tmp_path, saved_model):
    flat_params = flatten_params(saved_model[2])
    packed_model.write_packed_model(tmp_path / "x.bin", flat_params, CONFIG)
    params = mst_jax.load(tmp_path / "x.bin").params
    jax.tree.map(np.testing.assert_array_equal, params, saved_model[2])


def test_a_checkpoint_of_a_training_program_is_loaded_with_its_average(tmp_path):
    """{'state_dict': the model behind "module.", 'ema': its average}, named .ckpt."""
    path, params = write_published_file(tmp_path, "simpleclick")
    arrays = read_weight_file(path).arrays
    scaled = {f"module.{name}": 2 * array for name, array in arrays.items()}
    nested = {"state_dict": scaled, "ema": {"module": arrays}}
    config = make_published_config(2)
    write_nested_pth(tmp_path / "x.ckpt", nested, config=config)
    with pytest.warns(UserWarning, match="it holds 'ema' and 'state_dict'"):
        model = mst_jax.load(tmp_path / "x.ckpt")
    jax.tree.map(np.testing.assert_array_equal, model.params, params)


def test_config_without_model_is_refused(tmp_path, saved_model):
    folder = tmp_path / "copy"
    model_folder.write_model_folder(folder, saved_model[2], CONFIG)
    (folder / "config.json").write_text(json.dumps({"crop": 3}))
    with pytest.raises(ValueError, match="names no model"):
        mst_jax.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        mst_jax.load(folder)


def test_model_config_without_name_is_refused(tmp_path, saved_model):
    folder = tmp_path / "copy"
    model = {key: value for key, value in CONFIG["model"].items() if key != "name"}
    model_folder.write_model_folder(folder, saved_model[2], {"model": model})
    with pytest.raises(
        ValueError, match=r"'model' in .*copy/config.json has missing keys name"
    ):
        mst_jax.load(folder)


@pytest.mark.parametrize("name", ["_METADATA", "manifest.ocdbt", "d"])
@pytest.mark.parametrize("damage", ["empty", "gone"])
def test_damaged_parameters_are_refused(tmp_path, saved_model, name, damage):
    folder = tmp_path / "copy"
    model_folder.write_model_folder(folder, saved_model[2], CONFIG)
    damaged = folder / "params" / name
    files = [damaged] if damaged.is_file() else sorted(damaged.iterdir())
    for path in files:
        path.write_bytes(b"") if damage == "empty" else path.unlink()
    with pytest.raises(ValueError, match="are damaged; use an earlier checkpoint"):
        mst_jax.load(folder)


def write_packed(path, params, config):
    half = jax.tree.map(lambda leaf: np.asarray(leaf, np.float16), params)
    packed_model.write_packed_model(path, flatten_params(half), config)
    return path


def test_packed_model_is_loaded_as_float32(tmp_path, saved_model):
    _, module, params = saved_model
    model = mst_jax.load(write_packed(tmp_path / "x.safetensors", params, CONFIG))
    assert model.module == module and model.config.to_dict() == CONFIG

    def check_leaf(loaded, original):
        assert isinstance(loaded, jax.Array) and loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, np.asarray(original, np.float16))

    jax.tree.map(check_leaf, model.params, params)


def test_packed_parameters_of_another_model_are_refused(tmp_path, saved_model):
    params = saved_model[2]
    wide = {"model": CONFIG["model"] | {"width": 32}}
    path = write_packed(tmp_path / "wide.safetensors", params, wide)
    with pytest.raises(
        ValueError, match=r"wide\.safetensors holds another model: back"
    ):
        mst_jax.load(path)
    path = write_packed(tmp_path / "nameless.safetensors", params, {"crop": 3})
    with pytest.raises(ValueError, match="names no model"):
        mst_jax.load(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"nameless\.json, which describes"):
        mst_jax.load(path)


def test_published_file_is_loaded_directly(tmp_path):
    path, params = write_published_file(tmp_path, "slim-448")
    model = mst_jax.load(str(path))
    assert model.config.model.release == "slim-448"
    inputs = random_inputs(64, 64)
    expected = jax.jit(model.module.apply)({"params": params}, *inputs).logits
    np.testing.assert_allclose(model(*inputs), expected, atol=1e-6)


def test_pretrained_vit_gets_the_rest_of_the_plain_model(tmp_path):
    path, params = write_vit_file(tmp_path / "mae.pth")
    model, report = build_published_model(path, read_weight_file(path))
    assert model.module == mst_jax.build("simpleclick", **WIDE_HEAD_SIZES)
    for name in ("image", "positions"):
        jax.tree.map(
            np.testing.assert_array_equal,
            model.params["embed"][name],
            params["embed"][name],
        )
    jax.tree.map(
        np.testing.assert_array_equal, model.params["backbone"], params["backbone"]
    )
    flat_params = flatten_params(model.params)
    assert flat_params.keys() == set(report.filled_params) | set(report.reinitialized)
    for name in report.reinitialized:
        leaf_name, value = name.split("/")[-1], flat_params[name]
        expected = {"scale": (1, 0), "bias": (0, 0)}.get(leaf_name)
        found = (np.mean(value), np.std(value))
        assert found == expected if expected else found[1] > 0.01, name
    assert "reinitialized: decoder, embed/hints, neck" in str(report)
    with pytest.warns(
        UserWarning, match="holds a ViT alone: .* its masks are meaningless"
    ):
        mst_jax.load(path)


def test_unknown_number_of_heads_is_an_error(tmp_path):
    path, _ = write_vit_file(tmp_path / "mae.pth", width=48, num_heads=1)
    with pytest.raises(ValueError, match=r"mae\.pth: it is 48 wide and has no config"):
        mst_jax.load(path)
