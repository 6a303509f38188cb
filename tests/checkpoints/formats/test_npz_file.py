import io
import zipfile

import numpy as np
import pytest

from mst_jax.checkpoints.formats.npz_file import read_npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_in_their_dtype_and_order(tmp_path, rng, save):
    arrays = {
        "half": rng.normal(size=(3, 4)).astype("f2"),
        "a/b.c": np.asfortranarray(rng.normal(size=(5, 2))),
        "scalar": np.int64(3),
        "empty": np.zeros((0, 4), np.float32),
    }
    save(tmp_path / "x.npz", **arrays)
    loaded = read_npz(tmp_path / "x.npz")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_objects_and_damage_are_one_clear_error(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([object()]))
    with pytest.raises(ValueError, match=r"not an intact \.npz.*Python objects"):
        read_npz(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", a=np.arange(100.0))
    (tmp_path / "z.npz").write_bytes((tmp_path / "y.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"not an intact \.npz"):
        read_npz(tmp_path / "z.npz")


def write_member(path, shape, data, *, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.npy", file.getvalue() + data)
    return path


def test_false_shapes_allocate_nothing(tmp_path):
    path = write_member(tmp_path / "x.npz", (1 << 40,), b"1234")
    with pytest.raises(ValueError, match="cannot reshape array of size 1"):
        read_npz(path)


def test_an_archive_that_expands_is_refused(tmp_path):
    path = write_member(
        *(tmp_path / "x.npz", (1 << 22,), bytes(1 << 24)),
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(ValueError, match="expands to 167"):
        read_npz(path)
