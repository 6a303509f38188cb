import json
import os

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from mst_jax.checkpoints import packed_model
from mst_jax.checkpoints.formats.weight_file import write_safetensors

FLAT_PARAMS = {
    "a/kernel": np.arange(6, dtype=np.float16).reshape(2, 3).T,
    "b": np.asarray(jnp.ones(4, jnp.float16)),
}
CONFIG = {"model": {"name": "mst", "pyramid_widths": [1, 2]}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "deep" / "small.safetensors"
    facts = {"name": "small", "license": "MIT"}
    packed_model.write_packed_model(path, FLAT_PARAMS, CONFIG, facts=facts)
    return path


def test_parameters_and_config_round_trip(path):
    flat_params, config = packed_model.read_packed_model(path)
    assert config == CONFIG and flat_params.keys() == FLAT_PARAMS.keys()
    for name, value in FLAT_PARAMS.items():
        assert flat_params[name].dtype == np.float16
        np.testing.assert_array_equal(flat_params[name], value)
    assert sorted(os.listdir(path.parent)) == ["small.json", "small.safetensors"]


def test_json_holds_facts_format_hash_and_config(path):
    card = json.loads(path.with_suffix(".json").read_text())
    assert list(card) == ["name", "license", "format", "sha256", "config"]
    assert card["sha256"] == packed_model.file_sha256(path)
    assert "float16" in card["format"]
    # The next version of the model gets the same facts.
    facts = packed_model.read_facts(path.with_suffix(".json"))
    assert facts == {"name": "small", "license": "MIT"}


def test_hash_is_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert packed_model.file_sha256(tmp_path / "abc") == expected


def test_packed_models_are_known_by_their_metadata(path, tmp_path):
    assert packed_model.is_packed_model(path)
    torch_names = tmp_path / "torch.safetensors"
    write_safetensors(torch_names, {"a": np.ones(1)}, CONFIG)
    other_program = tmp_path / "other.safetensors"
    other_program.write_bytes(safetensors.numpy.save({"a": np.ones(1)}))
    (tmp_path / "text.safetensors").write_text("x")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("torch", "other", "text", "folder", "gone"):
        assert not packed_model.is_packed_model(tmp_path / f"{name}.safetensors")
    assert not packed_model.is_packed_model(path.with_suffix(".json"))
    assert not packed_model.is_packed_model(epath.Path("gs://b/x.safetensors"))


@pytest.mark.parametrize("position", [0, 20, -1])
def test_every_changed_byte_is_found(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"small\.safetensors is damaged: its SHA-256"):
        packed_model.read_packed_model(path)


def test_missing_or_wrong_file_is_one_clear_error(path):
    json_path = path.with_suffix(".json")
    for text in (None, "{", "[]", "{}", '{"sha256": "", "config": 3}'):
        json_path.unlink() if text is None else json_path.write_text(text)
        with pytest.raises(
            ValueError, match=r"small\.json, which describes small\.saf"
        ):
            packed_model.read_packed_model(path)
    json_path.write_text('{"sha256": "", "config": {}}')
    path.unlink()
    with pytest.raises(ValueError, match="is damaged"):
        packed_model.read_packed_model(path)


def test_existing_files_are_not_replaced(path):
    for existing, other in ((".safetensors", ".json"), (".json", ".safetensors")):
        packed_model.write_packed_model(
            path.with_name("x.safetensors"), FLAT_PARAMS, {}
        )
        new_path = path.with_name("x.safetensors")
        new_path.with_suffix(other).unlink()
        with pytest.raises(ValueError, match=rf"x\{existing} already exists"):
            packed_model.write_packed_model(new_path, FLAT_PARAMS, {})
        new_path.with_suffix(existing).unlink()


def test_facts_must_be_a_json_object(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.json cannot be read as JSON"):
        packed_model.read_facts(tmp_path / "gone.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match=r"list\.json is not a JSON object"):
        packed_model.read_facts(tmp_path / "list.json")
