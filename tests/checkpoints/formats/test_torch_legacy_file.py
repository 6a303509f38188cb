import pickle
import struct

import numpy as np
import pytest

from mst_jax.checkpoints.formats.torch_legacy_file import (
    MAGIC_BYTES,
    MAGIC_NUMBER,
    read_array_pickle,
    read_torch_legacy_file,
)
from tests.helpers.torch_archive import make_pickle, write_legacy_pth

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1, -2], np.int64),
    "c": np.zeros((0, 2), np.float16),
    "d": np.array(7.5),
}


def assert_same_arrays(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_arrays_come_back_in_their_dtype(tmp_path):
    path = write_legacy_pth(tmp_path / "x.pth", ARRAYS)
    content = read_torch_legacy_file(path)
    assert_same_arrays(content.arrays, ARRAYS)
    assert content.config is None and content.remarks == ()


def test_magic_number_is_that_of_pytorch():
    assert pickle.dumps(MAGIC_NUMBER, protocol=2)[2:-1] == MAGIC_BYTES
    assert MAGIC_BYTES in pickle.dumps(MAGIC_NUMBER, protocol=4)[:32]


def test_every_cut_is_one_clear_error(tmp_path):
    data = write_legacy_pth(tmp_path / "x.pth", ARRAYS).read_bytes()
    path = tmp_path / "cut.pth"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"pickle|exceeds|begin"):
            read_torch_legacy_file(path)


def test_a_false_length_allocates_nothing(tmp_path):
    data = write_legacy_pth(tmp_path / "x.pth", {"a": np.ones(3)}).read_bytes()
    length = struct.pack("<q", 3)
    assert data.count(length) == 1
    for false_length in (1 << 50, -1, 4):
        path = tmp_path / "y.pth"
        path.write_bytes(data.replace(length, struct.pack("<q", false_length)))
        with pytest.raises(ValueError, match=f"of {false_length} values exceeds"):
            read_torch_legacy_file(path)


def test_numbers_of_a_big_endian_machine_are_refused(tmp_path):
    data = write_legacy_pth(tmp_path / "x.pth", ARRAYS).read_bytes()
    machine = make_pickle({"little_endian": True})
    path = tmp_path / "y.pth"
    path.write_bytes(data.replace(machine, make_pickle({"little_endian": False})))
    with pytest.raises(ValueError, match="big-endian"):
        read_torch_legacy_file(path)


def test_a_pickle_of_numpy_arrays_is_read(tmp_path):
    path = tmp_path / "x.pkl"
    for content in (
        ARRAYS,
        ARRAYS | {"best": np.float64(0.5)},
        {"model": ARRAYS, "best": np.float64(0.5)},
    ):
        path.write_bytes(pickle.dumps(content))
        assert_same_arrays(read_array_pickle(path).arrays, ARRAYS)


def test_a_pickle_executes_nothing(tmp_path):
    class Harmful:
        def __reduce__(self):
            return print, ("executed",)

    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"model": {"a": Harmful()}}))
    with pytest.raises(ValueError, match="'a' is not an array"):
        read_array_pickle(path)
