import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.checkpoints.formats.torch_file import read_torch_archive
from mst_jax.safe_pickle import PickledObject
from tests.helpers.torch_archive import (
    GlobalName,
    PickledCall,
    TensorStorage,
    make_published_config,
    make_tensor,
    write_archive,
    write_pth,
)

TWELVE = TensorStorage("FloatStorage", "7", 12)
NUMBERS = {"7": np.arange(12, dtype=np.float32).tobytes()}


def read_array(path, value, storages=NUMBERS):
    write_archive(path / "x.pth", {"state_dict": {"a": value}}, storages)
    return read_torch_archive(path / "x.pth")[0]["a"]


def test_strides_and_offset_are_applied(tmp_path):
    """The transpose of rows 1 and 2 of a 3x4 matrix, without its first column."""
    array = read_array(tmp_path, make_tensor(TWELVE, 5, (3, 2), (1, 4)))
    np.testing.assert_array_equal(array, [[5, 9], [6, 10], [7, 11]])


def test_arrays_share_a_storage_and_are_parameters(tmp_path):
    rebuild = GlobalName("torch._utils", "_rebuild_parameter")
    hooks = PickledCall(GlobalName("collections", "OrderedDict"))
    weight = PickledCall(rebuild, (make_tensor(TWELVE, 0, (2, 2), (2, 1)), True, hooks))
    top = {"a": weight, "b": make_tensor(TWELVE, 3, (2,), (1,))}
    path = write_archive(tmp_path / "x.pth", {"model": top}, NUMBERS)
    arrays, *_ = read_torch_archive(path)
    np.testing.assert_array_equal(arrays["a"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(arrays["b"], [3, 4])


def test_scalar_repeated_and_empty_arrays_are_read(tmp_path):
    assert read_array(tmp_path, make_tensor(TWELVE, 4, (), ())) == 4
    array = read_array(tmp_path, make_tensor(TWELVE, 2, (2, 3), (1, 0)))
    np.testing.assert_array_equal(array, [[2, 2, 2], [3, 3, 3]])
    assert read_array(tmp_path, make_tensor(TWELVE, 12, (0, 3), (3, 1))).shape == (0, 3)


@pytest.mark.parametrize(
    ("storage_type", "data", "dtype"),
    [
        ("DoubleStorage", struct.pack("<2d", 1.5, -2), np.float64),
        ("FloatStorage", struct.pack("<2f", 1.5, -2), np.float32),
        ("HalfStorage", struct.pack("<2e", 1.5, -2), np.float16),
        ("BFloat16Storage", b"\xc0\x3f\x00\xc0", jnp.bfloat16),
        ("LongStorage", struct.pack("<2q", 1, -2), np.int64),
        ("IntStorage", struct.pack("<2i", 1, -2), np.int32),
        ("ShortStorage", struct.pack("<2h", 1, -2), np.int16),
        ("CharStorage", struct.pack("<2b", 1, -2), np.int8),
        ("ByteStorage", b"\x01\xfe", np.uint8),
        ("BoolStorage", b"\x01\x00", np.bool_),
    ],
)
def test_every_storage_dtype_is_read(tmp_path, storage_type, data, dtype):
    array = read_array(
        tmp_path,
        make_tensor(TensorStorage(storage_type, "0", 2), 0, (2,), (1,)),
        {"0": data},
    )
    assert array.dtype == dtype
    expected = {np.uint8: [1, 254], np.bool_: [True, False]}
    is_float = jnp.issubdtype(dtype, jnp.floating)
    np.testing.assert_array_equal(
        array.astype(np.float64), expected.get(dtype, [1.5 if is_float else 1, -2])
    )


def test_three_layouts_and_a_config_of_unknown_classes_are_read(tmp_path):
    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
    with_config = write_pth(
        tmp_path / "a.pth", arrays, config=make_published_config(num_heads=3)
    )
    mae = write_pth(tmp_path / "b.pt", arrays, under="model")
    described = {"a.weight": make_tensor(TWELVE, 0, (2, 3), (3, 1))}
    arrays_alone = write_archive(tmp_path / "c.pth", described, NUMBERS)
    for path in (with_config, mae, arrays_alone):
        found, *_ = read_torch_archive(path)
        assert found.keys() == arrays.keys()
        np.testing.assert_array_equal(found["a.weight"], arrays["a.weight"])
    _, published_config, _ = read_torch_archive(with_config)
    assert published_config["params"]["backbone_params"]["value"]["num_heads"] == 3
    assert published_config["params"]["cfg"]["value"] == {"DEPTH": 4}
    loss = published_config["params"]["head_params"]["value"]["loss_decode"]
    assert isinstance(loss, PickledObject) and loss.state == {"training": True}
    assert read_torch_archive(arrays_alone)[1] is None


def test_hostile_archive_executes_nothing(tmp_path):
    marker = tmp_path / "marker"
    harmful = PickledCall(GlobalName("os", "system"), (f"touch {marker}",))
    good = make_tensor(TWELVE, 0, (12,), (1,))
    write_archive(
        tmp_path / "config.pth",
        {"state_dict": {"a": good}, "config": {"params": {"x": harmful}}},
        NUMBERS,
    )
    arrays, *_ = read_torch_archive(tmp_path / "config.pth")
    assert arrays["a"].shape == (12,)
    for value in (harmful, PickledCall(good.function, (harmful, *good.arguments[1:]))):
        with pytest.raises(ValueError, match="'a' is not an array"):
            read_array(tmp_path, value)
    with pytest.raises(ValueError, match="no dict of arrays"):
        read_torch_archive(write_archive(tmp_path / "top.pth", harmful, {}))
    assert not marker.exists()


@pytest.mark.parametrize(
    "value",
    [
        make_tensor(TWELVE, 0, (13,), (1,)),
        make_tensor(TWELVE, 1, (3, 4), (4, 1)),
        make_tensor(TWELVE, -1, (2,), (1,)),
        make_tensor(TWELVE, 0, (2,), (-1,)),
        make_tensor(TWELVE, 0, (-2,), (1,)),
        make_tensor(TWELVE, 0, (2.0,), (1,)),
        make_tensor(TWELVE, 0, (2,), (1, 1)),
        make_tensor(TWELVE, 0, (100_000, 100_000), (0, 0)),
        make_tensor(TensorStorage("ComplexFloatStorage", "7", 6), 0, (6,), (1,)),
        make_tensor(TensorStorage("FloatStorage", "8", 12), 0, (12,), (1,)),
        PickledCall(GlobalName("torch._utils", "_rebuild_tensor_v2"), ()),
        PickledCall(GlobalName("torch._utils", "_rebuild_sparse_tensor"), (TWELVE,)),
        3,
    ],
)
def test_array_outside_its_storage_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="'a' is not an array"):
        read_array(tmp_path, value)


def test_false_member_sizes_are_refused(tmp_path):
    top = {"state_dict": {"a": make_tensor(TWELVE, 0, (12,), (1,))}}
    path = tmp_path / "x.pth"
    write_archive(path, top, NUMBERS, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"claims .* bytes, stored in"):
        read_torch_archive(path)
    data = write_archive(path, top, NUMBERS).read_bytes()
    true_sizes, false_sizes = (
        struct.pack("<II", 48, 48),
        struct.pack("<II", 1 << 30, 1 << 30),
    )
    assert data.count(true_sizes) == 2  # beside the member and in the directory
    path.write_bytes(data.replace(true_sizes, false_sizes))
    with pytest.raises(ValueError, match="claims 1073741824 bytes"):
        read_torch_archive(path)


def test_archives_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(ValueError, match=r"has no data\.pkl"):
        read_torch_archive(path)
    for top in ([1], {}, {"state_dict": 3}):
        with pytest.raises(ValueError, match="no dict of arrays"):
            read_torch_archive(write_archive(path, top, {}))
    with pytest.raises(ValueError, match="expected b'little'"):
        read_torch_archive(write_archive(path, {"a": 1}, {}, byteorder=b"big"))
