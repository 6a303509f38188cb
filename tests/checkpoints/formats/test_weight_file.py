import gzip
import os
import pickle
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from mst_jax.checkpoints.formats.torch_legacy_file import MAGIC_BYTES
from mst_jax.checkpoints.formats.weight_file import (
    is_weight_file,
    read_weight_file,
    write_safetensors,
)
from tests.helpers.torch_archive import write_legacy_pth, write_pth

ARRAY = np.array([1, 2], np.float32)

# Format -> function that writes {"a": ARRAY}.
WRITERS = {
    "zip of PyTorch": lambda path: write_pth(path, {"a": ARRAY}),
    "old file of PyTorch": lambda path: write_legacy_pth(path, {"a": ARRAY}),
    "safetensors": lambda path: safetensors.numpy.save_file({"a": ARRAY}, path),
    "npz": lambda path: np.savez(path.open("wb"), a=ARRAY),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"model": {"a": ARRAY}})),
}
NAMES = ("x.pth", "x.ckpt", "x.bin", "x.pth.tar", "x.safetensors", "x.npz", "weights")


@pytest.mark.parametrize("file_format", WRITERS)
@pytest.mark.parametrize("name", NAMES)
def test_content_selects_the_reader_whatever_the_name(tmp_path, name, file_format):
    path = tmp_path / name
    WRITERS[file_format](path)
    assert is_weight_file(path)
    weight_file = read_weight_file(path)
    assert weight_file.arrays.keys() == {"a"} and weight_file.remarks == ()
    assert weight_file.config is weight_file.published_config is None
    np.testing.assert_array_equal(weight_file.arrays["a"], ARRAY)


def test_names_and_files_of_weights(tmp_path):
    names = ("a.pth", "a.pt", "a.ckpt", "a.bin", "a.pth.tar", "a.safetensors", "a.npz")
    assert all(is_weight_file(Path(name)) for name in names)
    assert not any(is_weight_file(Path(name)) for name in ("a", "a.zip", "pth"))
    assert not is_weight_file(tmp_path)


def test_prefixes_and_what_was_left_out_are_reported(tmp_path):
    names = ("module._orig_mod.a", "module.b", "criterion.c")
    path = write_pth(tmp_path / "x.pth", dict.fromkeys(names, ARRAY))
    weight_file = read_weight_file(path)
    assert weight_file.arrays.keys() == {"a", "b"}
    assert weight_file.remarks == (
        "prefix 'module.' used",
        "1 arrays without prefix are not used",
    )


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
        "old.pth": (b"\x80\x02" + MAGIC_BYTES + b"\x80\x02.", "its pickle cannot be"),
        "pickle.bin": (b"\x80\x02N.", "it holds no dict of arrays"),
        "page.pth": (b"<!DOCTYPE html>", "it is a web page; download the file"),
        "lfs.pth": (
            b"version https://git-lfs.github.com/spec/v1",
            "pointer of Git LFS",
        ),
        "packed.pth": (gzip.compress(b"x"), "a compressed file; unpack it"),
        "keras.h5": (b"\x89HDF\r\n", "an HDF5 file"),
        "old.tar": (bytes(257) + b"ustar\x00", "a tar archive; unpack it"),
        "text.pth": (b"hello", "not an intact zip archive"),
        "empty.pth": (b"", "it is empty; copy it again"),
        "index.json": (b'{"weight_map": {}}', "a JSON file; give the file with the"),
        "one.npy": (b"\x93NUMPY\x01", "a single array; give a file with all"),
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
    with pytest.raises(ValueError, match="already exists"):
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
