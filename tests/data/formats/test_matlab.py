import numpy as np
import pytest
import scipy.io

from mst_jax.data.formats.matlab import read_field, read_variable


def test_field_of_a_struct_is_returned(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"s": {"Segmentation": np.eye(3, dtype=np.uint8)}})
    struct = read_variable(path, "s")
    assert struct.shape == (1, 1)
    np.testing.assert_array_equal(read_field(struct, "Segmentation"), np.eye(3))
    with pytest.raises(ValueError, match="has no field 'Boundaries'"):
        read_field(struct, "Boundaries")
    with pytest.raises(ValueError, match="has no field 'a'"):
        read_field(np.eye(3), "a")
    with pytest.raises(ValueError, match="holds 0 structs"):
        read_field(struct[:0], "Segmentation")


def test_missing_variable_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"s": 1})
    with pytest.raises(ValueError, match="has no variable 'GTinst'"):
        read_variable(tmp_path / "a.mat", "GTinst")


@pytest.mark.parametrize("size", [0, 10, 130, 200])
def test_damaged_file_raises_value_error(size, tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"s": np.arange(1000)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"not a \.mat file|no variable"):
        read_variable(path, "s")
