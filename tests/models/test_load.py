import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import mst_jax
from mst_jax.checkpoints import store
from mst_jax.checkpoints.published_file import read_published_file
from mst_jax.models.load import make_published, shapes_of_params
from mst_jax.structs import Clicks
from tests.helpers.pretrained_vit_file import WIDE, write_bare
from tests.helpers.published_checkpoint import write_published
from tests.models.test_simpleclick import SMALL, drawn_inputs, drawn_params

CONFIG = {"model": {"name": "simpleclick", "size": "tiny", **SMALL}, "crop": 64}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    module = mst_jax.build(**CONFIG["model"])
    params = drawn_params(module)
    store.write_model(folder, params, CONFIG)
    return folder, module, params


@pytest.fixture(scope="module")
def model(saved):
    return mst_jax.load(saved[0])


def test_what_was_saved_is_loaded(saved, model):
    _, module, params = saved
    assert model.module == module
    assert model.config.model.width == 16
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    inputs = drawn_inputs(64, 96)
    want = jax.jit(module.apply)({"params": params}, *inputs).logits
    np.testing.assert_allclose(model(*inputs), want, atol=1e-6)


def test_any_batch_and_any_whole_patches(model):
    image, clicks, previous = drawn_inputs(32, 48)
    both = model(image, clicks, previous)
    assert both.shape == (2, 32, 48)
    one = model(*jax.tree.map(lambda leaf: leaf[:1], (image, clicks, previous)))
    np.testing.assert_allclose(one, both[:1], atol=1e-5)


def test_new_params_do_not_compile_again(model):
    inputs = drawn_inputs(64, 64)
    traces = []

    @jax.jit
    def ask(model):
        traces.append(1)
        return model(*inputs)

    first = ask(model)
    other = jax.tree.map(lambda leaf: 0.5 * leaf, model)
    assert np.abs(ask(other) - first).max() > 0
    assert len(traces) == 1


def bad_calls():
    image, clicks, previous = drawn_inputs(64, 64)
    yield (image[:, :60], clicks, previous[:, :60]), "60x64, not whole 16-pixel"
    yield (image[0], clicks, previous), r"\[64, 64, 3\], expected float"
    yield ((255 * image).astype(jnp.uint8), clicks, previous), "divide uint8"
    yield (image, clicks, previous[:, :32]), r"previous is \[2, 32, 64\]"
    alone = Clicks(clicks.yx[0], clicks.label[0])
    yield (image, alone, previous), r"expected \[2 k 2\]"


@pytest.mark.parametrize(("inputs", "sentence"), bad_calls())
def test_wrong_arguments_are_one_sentence(model, inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        model(*inputs)


def test_shapes_are_found_without_making_parameters(saved):
    _, module, params = saved
    shapes = shapes_of_params(module)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda s: s.shape, shapes)


def test_wrong_places_are_one_sentence(tmp_path, saved):
    with pytest.raises(ValueError, match="gone is not there; expected the workdir"):
        mst_jax.load(tmp_path / "gone")
    with pytest.raises(ValueError, match="no checkpoint in"):
        mst_jax.load(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="file is not a folder"):
        mst_jax.load(tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 32}, "holds another model: backbone/block0/attention/key/bias"),
        ({"depth": 9}, "backbone/block8/.* is missing"),
        ({"depth": 7}, "the config's model has none"),
        ({"name": "sam"}, "no model 'sam'"),
    ],
)
def test_params_of_another_model_are_refused(tmp_path, saved, change, sentence):
    _, _, params = saved
    folder = tmp_path / "copy"
    config = {"model": CONFIG["model"] | change}
    store.write_model(folder, params, config)
    with pytest.raises(ValueError, match=sentence):
        mst_jax.load(folder)


def test_a_config_without_model_is_refused(tmp_path, saved):
    folder = tmp_path / "copy"
    store.write_model(folder, saved[2], CONFIG)
    (folder / "config.json").write_text(json.dumps({"crop": 3}))
    with pytest.raises(ValueError, match="names no model"):
        mst_jax.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        mst_jax.load(folder)


def test_a_model_without_name_is_refused(tmp_path, saved):
    folder = tmp_path / "copy"
    model = {key: value for key, value in CONFIG["model"].items() if key != "name"}
    store.write_model(folder, saved[2], {"model": model})
    with pytest.raises(ValueError, match=r"'model' in .*copy: missing .*'name'"):
        mst_jax.load(folder)


@pytest.mark.parametrize("name", ["_METADATA", "manifest.ocdbt", "d"])
@pytest.mark.parametrize("harm", ["empty", "gone"])
def test_damaged_params_are_refused(tmp_path, saved, name, harm):
    folder = tmp_path / "copy"
    store.write_model(folder, saved[2], CONFIG)
    harmed = folder / "params" / name
    files = [harmed] if harmed.is_file() else sorted(harmed.iterdir())
    for path in files:
        path.write_bytes(b"") if harm == "empty" else path.unlink()
    with pytest.raises(ValueError, match="are damaged; take an earlier checkpoint"):
        mst_jax.load(folder)


def test_a_published_file_is_loaded_as_it_is(tmp_path):
    path, params = write_published(tmp_path, "slim-448")
    model = mst_jax.load(str(path))
    assert model.config.model.release == "slim-448"
    inputs = drawn_inputs(64, 64)
    want = jax.jit(model.module.apply)({"params": params}, *inputs).logits
    np.testing.assert_allclose(model(*inputs), want, atol=1e-6)


def test_a_vit_alone_gets_the_rest_of_the_plain_model(tmp_path):
    path, params = write_bare(tmp_path / "mae.pth")
    model, account = make_published(path, read_published_file(path))
    assert model.module == mst_jax.build("simpleclick", **WIDE)
    for name in ("image", "positions"):
        jax.tree.map(
            np.testing.assert_array_equal,
            model.params["embed"][name],
            params["embed"][name],
        )
    jax.tree.map(
        np.testing.assert_array_equal, model.params["backbone"], params["backbone"]
    )
    flat = flatten_dict(model.params, sep="/")
    assert flat.keys() == set(account.filled) | set(account.fresh)
    for name in account.fresh:
        kind = name.split("/")[-1]
        want = {"scale": (1, 0), "bias": (0, 0)}.get(kind)
        found = (np.mean(flat[name]), np.std(flat[name]))
        assert found == want if want else found[1] > 0.01, name
    assert "started afresh: decoder, embed/hints, neck" in str(account)
    with pytest.warns(
        UserWarning, match="holds a ViT alone: .* its masks mean nothing"
    ):
        mst_jax.load(path)


def test_heads_that_nobody_knows_are_asked_for(tmp_path):
    path, _ = write_bare(tmp_path / "mae.pth", width=48, num_heads=1)
    with pytest.raises(ValueError, match=r"mae\.pth: it is 48 wide and has no config"):
        mst_jax.load(path)
