import os
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from mst_jax.checkpoints.torch_file import OLD_FORMAT
from mst_jax.checkpoints.weight_file import (
    is_weight_file,
    read_weight_file,
    write_safetensors,
)
from tests.helpers.torch_archive import write_pth


@pytest.mark.parametrize("name", ["x.pth", "x.npz"])
def test_suffix_selects_the_reader(tmp_path, name):
    array = np.array([1, 2], np.float32)
    if name == "x.npz":
        np.savez(tmp_path / name, a=array)
    else:
        write_pth(tmp_path / name, {"a": array})
    arrays, config, published_config = read_weight_file(tmp_path / name)
    assert arrays.keys() == {"a"} and config is published_config is None
    np.testing.assert_array_equal(arrays["a"], [1, 2])


def test_suffixes_of_weight_files():
    found = [
        name
        for name in ("a.pth", "a.pt", "a.safetensors", "a.npz", "a", "a.zip", "pth")
        if is_weight_file(Path(name))
    ]
    assert found == ["a.pth", "a.pt", "a.safetensors", "a.npz"]


@pytest.mark.parametrize("name", ["gone.pth", "gone.npz", "gone.safetensors"])
def test_missing_file_is_one_clear_error(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name} is not there; expected"):
        read_weight_file(tmp_path / name)


def test_file_in_a_bucket_is_one_clear_error():
    with pytest.raises(ValueError, match=r"gs://b/x\.pth is in a bucket; copy it"):
        read_weight_file(epath.Path("gs://b/x.pth"))


def test_wrong_file_is_one_clear_error(tmp_path):
    whole = write_pth(tmp_path / "a.pth", {"a": np.ones(50, np.float32)}).read_bytes()
    wrong = {
        "old.pth": (OLD_FORMAT + b"\x80\x02M\xe9\x03.", "PyTorch's old format"),
        "text.pth": (b"hello", "not an intact zip archive"),
        "empty.pth": (b"", "not an intact zip archive"),
        "half.pth": (whole[: len(whole) // 2], "not an intact zip archive"),
        "end.pth": (whole[:-10], "not an intact zip archive"),
        "flip.pth": (whole.replace(struct.pack("<f", 1), b"abcd"), "Bad CRC-32"),
        "half.safetensors": (b"\x08\x00", "not an intact .safetensors"),
    }
    for name, (data, sentence) in wrong.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            ValueError, match=rf"{name} is not a checkpoint.*{sentence}"
        ):
            read_weight_file(tmp_path / name)
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ValueError, match=r"folder\.pth is not a file"):
        read_weight_file(tmp_path / "folder.pth")


def test_safetensors_round_trip_with_a_config(tmp_path):
    path = tmp_path / "deep" / "x.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    config = {"model": {"name": "mst", "pyramid_widths": [1, 2]}}
    write_safetensors(path, arrays, config)
    weight_file = read_weight_file(path)
    np.testing.assert_array_equal(weight_file.arrays["a"], [[0, 3], [1, 4], [2, 5]])
    assert weight_file.config == config and weight_file.published_config is None
    with pytest.raises(ValueError, match="exists already"):
        write_safetensors(path, arrays, config)
    assert os.listdir(path.parent) == ["x.safetensors"]


def test_safetensors_of_other_programs_are_read(tmp_path):
    path = tmp_path / "x.safetensors"
    half = jnp.asarray([1.5, -2.0], jnp.bfloat16)
    data = safetensors.numpy.save({"a": np.asarray(half)}, metadata={"format": "pt"})
    path.write_bytes(data)
    weight_file = read_weight_file(path)
    values = weight_file.arrays["a"].astype(np.float32)
    np.testing.assert_array_equal(values, [1.5, -2])
    assert weight_file.config is None
    for text, config in (("3", None), ('{"a": 1}', {"a": 1})):
        data = safetensors.numpy.save({"a": np.ones(1)}, metadata={"mst_jax": text})
        path.write_bytes(data)
        assert read_weight_file(path).config == config
    data = safetensors.numpy.save({"a": np.ones(1)}, metadata={"mst_jax": "{"})
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"not an intact \.safetensors"):
        read_weight_file(path)
