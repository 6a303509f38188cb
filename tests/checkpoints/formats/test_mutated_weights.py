"""Mutated checkpoints: one clear sentence or arrays, whatever the damage is."""

import pickle
import resource

import numpy as np
import pytest
import safetensors.numpy

from mst_jax.checkpoints.formats.weight_file import read_weight_file
from mst_jax.checkpoints.packed_model import read_packed_model, write_packed_model
from tests.helpers.mutated_files import mutate
from tests.helpers.torch_archive import (
    make_published_config,
    write_legacy_pth,
    write_nested_pth,
)

ARRAYS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.array([1.5, -2.0], np.float16),
    "b": np.array([3, 4, 5], np.int64),
}
NESTED = {"model": {f"module.{name}": array for name, array in ARRAYS.items()}}
NESTED |= {"ema": {name: 2 * array for name, array in ARRAYS.items()}}

# Format -> function that writes a file; the first ones have checksums of all values.
WRITERS = {
    "zip": lambda path: write_nested_pth(
        path, NESTED, config=make_published_config(num_heads=2)
    ),
    "npz": lambda path: np.savez(path.open("wb"), **ARRAYS),
    "compressed npz": lambda path: np.savez_compressed(path.open("wb"), **ARRAYS),
    "legacy": lambda path: write_legacy_pth(path, ARRAYS),
    "safetensors": lambda path: safetensors.numpy.save_file(ARRAYS, path),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"model": ARRAYS})),
    "old pickle": lambda path: path.write_bytes(pickle.dumps(ARRAYS, 2)),
}
CHECKED_FORMATS = ("zip", "npz", "compressed npz")


def check_mutations(folder, file_format, num_mutations):
    """Read mutated files; none may raise anything but a ValueError of one line."""
    path = folder / "x.pth"
    WRITERS[file_format](path)
    data, expected = path.read_bytes(), read_weight_file(path).arrays
    rng = np.random.default_rng(num_mutations)
    num_read = 0
    for _ in range(num_mutations):
        path.write_bytes(mutate(data, rng))
        try:
            arrays = read_weight_file(path).arrays
        except ValueError as error:
            assert str(error).startswith(f"{path} is not a checkpoint that can be read")
            continue
        num_read += 1
        for name, array in arrays.items():
            assert isinstance(name, str) and isinstance(array, np.ndarray)
            np.array(array)  # the memory of a view is valid
        # What a checksum covers is as it was, or it is refused; nothing is lost.
        if file_format in CHECKED_FORMATS:
            assert len(arrays) == len(expected)
            for array, original in zip(arrays.values(), expected.values(), strict=True):
                np.testing.assert_array_equal(array, original)
    return num_read


@pytest.mark.parametrize("file_format", WRITERS)
def test_mutated_files_are_read_or_refused_in_one_sentence(tmp_path, file_format):
    check_mutations(tmp_path, file_format, 40)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", WRITERS)
def test_many_mutated_files_are_read_or_refused(tmp_path, file_format):
    """500 files of each format; they take no memory that they do not have."""
    check_mutations(tmp_path, file_format, 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check_mutations(tmp_path, file_format, 500)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100_000


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_mutated_packed_model_is_never_read(tmp_path, suffix):
    path = tmp_path / "x.safetensors"
    write_packed_model(path, ARRAYS, {"model": {"name": "mst"}})
    mutated_path = path.with_suffix(suffix)
    data, rng = mutated_path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        mutated = mutate(data, rng)
        mutated_path.write_bytes(mutated)
        try:
            packed = read_packed_model(path)
        except ValueError:
            continue
        # The JSON has fields that do not matter for the parameters.
        assert suffix == ".json" or mutated == data
        for name, array in packed.flat_params.items():
            np.testing.assert_array_equal(array, ARRAYS[name])
