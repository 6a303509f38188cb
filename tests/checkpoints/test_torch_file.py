import os
import pickle
import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mst_jax.checkpoints.torch_file import (
    OLD_FORMAT,
    is_torch_file,
    read_torch_file,
    write_safetensors,
)
from mst_jax.safe_pickle import Record
from tests.helpers.torch_archive import (
    Call,
    Name,
    Storage,
    config_of,
    tensor,
    write_members,
    write_pth,
)

TWELVE = Storage("FloatStorage", "7", 12)
NUMBERS = {"7": np.arange(12, dtype=np.float32).tobytes()}


def read_one(path, value, storages=NUMBERS):
    write_members(path / "x.pth", {"state_dict": {"a": value}}, storages)
    return read_torch_file(path / "x.pth").arrays["a"]


def test_strides_and_offset_are_obeyed(tmp_path):
    """The transpose of rows 1 and 2 of a 3x4 matrix, without its first column."""
    array = read_one(tmp_path, tensor(TWELVE, 5, (3, 2), (1, 4)))
    np.testing.assert_array_equal(array, [[5, 9], [6, 10], [7, 11]])


def test_arrays_may_share_a_storage_and_be_parameters(tmp_path):
    rebuild = Name("torch._utils", "_rebuild_parameter")
    hooks = Call(Name("collections", "OrderedDict"))
    weight = Call(rebuild, (tensor(TWELVE, 0, (2, 2), (2, 1)), True, hooks))
    top = {"a": weight, "b": tensor(TWELVE, 3, (2,), (1,))}
    file = read_torch_file(write_members(tmp_path / "x.pth", {"model": top}, NUMBERS))
    np.testing.assert_array_equal(file.arrays["a"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(file.arrays["b"], [3, 4])


def test_scalars_repeated_and_empty_arrays(tmp_path):
    assert read_one(tmp_path, tensor(TWELVE, 4, (), ())) == 4
    array = read_one(tmp_path, tensor(TWELVE, 2, (2, 3), (1, 0)))
    np.testing.assert_array_equal(array, [[2, 2, 2], [3, 3, 3]])
    assert read_one(tmp_path, tensor(TWELVE, 12, (0, 3), (3, 1))).shape == (0, 3)


@pytest.mark.parametrize(
    ("kind", "data", "dtype"),
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
def test_every_kind_of_number(tmp_path, kind, data, dtype):
    array = read_one(
        tmp_path, tensor(Storage(kind, "0", 2), 0, (2,), (1,)), {"0": data}
    )
    assert array.dtype == dtype
    want = {np.uint8: [1, 254], np.bool_: [True, False]}
    floats = jnp.issubdtype(dtype, jnp.floating)
    np.testing.assert_array_equal(
        array.astype(np.float64), want.get(dtype, [1.5 if floats else 1, -2])
    )


def test_three_forms_and_a_config_of_unknown_classes(tmp_path):
    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
    whole = write_pth(tmp_path / "a.pth", arrays, config=config_of(num_heads=3))
    mae = write_pth(tmp_path / "b.pt", arrays, under="model")
    described = {"a.weight": tensor(TWELVE, 0, (2, 3), (3, 1))}
    bare = write_members(tmp_path / "c.pth", described, NUMBERS)
    for path in (whole, mae, bare):
        assert is_torch_file(path)
        found = read_torch_file(path).arrays
        assert found.keys() == arrays.keys()
        np.testing.assert_array_equal(found["a.weight"], arrays["a.weight"])
    published = read_torch_file(whole).published
    assert published["params"]["backbone_params"]["value"]["num_heads"] == 3
    assert published["params"]["cfg"]["value"] == {"DEPTH": 4}
    loss = published["params"]["head_params"]["value"]["loss_decode"]
    assert isinstance(loss, Record) and loss.state == {"training": True}
    assert read_torch_file(whole).config == {} == read_torch_file(bare).published


def test_a_hostile_archive_runs_nothing(tmp_path):
    marker = tmp_path / "marker"
    evil = Call(Name("os", "system"), (f"touch {marker}",))
    good = tensor(TWELVE, 0, (12,), (1,))
    write_members(
        tmp_path / "config.pth",
        {"state_dict": {"a": good}, "config": {"params": {"x": evil}}},
        NUMBERS,
    )
    file = read_torch_file(tmp_path / "config.pth")
    assert file.arrays["a"].shape == (12,)
    for value in (evil, Call(good.function, (evil, *good.arguments[1:]))):
        with pytest.raises(ValueError, match="'a' is no array"):
            read_one(tmp_path, value)
    with pytest.raises(ValueError, match="no dict of arrays"):
        read_torch_file(write_members(tmp_path / "top.pth", evil, {}))
    assert not marker.exists()


@pytest.mark.parametrize(
    "value",
    [
        tensor(TWELVE, 0, (13,), (1,)),
        tensor(TWELVE, 1, (3, 4), (4, 1)),
        tensor(TWELVE, -1, (2,), (1,)),
        tensor(TWELVE, 0, (2,), (-1,)),
        tensor(TWELVE, 0, (-2,), (1,)),
        tensor(TWELVE, 0, (2.0,), (1,)),
        tensor(TWELVE, 0, (2,), (1, 1)),
        tensor(TWELVE, 0, (100_000, 100_000), (0, 0)),
        tensor(Storage("ComplexFloatStorage", "7", 6), 0, (6,), (1,)),
        tensor(Storage("FloatStorage", "8", 12), 0, (12,), (1,)),
        Call(Name("torch._utils", "_rebuild_tensor_v2"), ()),
        Call(Name("torch._utils", "_rebuild_sparse_tensor"), (TWELVE,)),
        3,
    ],
)
def test_what_is_no_array_in_its_storage_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"x\.pth .*'a' is no array"):
        read_one(tmp_path, value)


def test_wrong_files_are_one_sentence(tmp_path):
    whole = write_pth(tmp_path / "a.pth", {"a": np.ones(50, np.float32)}).read_bytes()
    wrong = {
        "old.pth": (OLD_FORMAT + b"\x80\x02M\xe9\x03.", "PyTorch's old format"),
        "text.pth": (b"hello", "not a whole zip archive"),
        "empty.pth": (b"", "not a whole zip archive"),
        "half.pth": (whole[: len(whole) // 2], "not a whole zip archive"),
        "end.pth": (whole[:-10], "not a whole zip archive"),
        "flip.pth": (whole.replace(struct.pack("<f", 1), b"abcd"), "Bad CRC-32"),
        "half.safetensors": (b"\x08\x00", "not a whole .safetensors"),
    }
    for name, (data, sentence) in wrong.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name} is no checkpoint.*{sentence}"):
            read_torch_file(tmp_path / name)
    with pytest.raises(ValueError, match=r"gone\.pth is not there"):
        read_torch_file(tmp_path / "gone.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ValueError, match=r"folder\.pth is not a file"):
        read_torch_file(tmp_path / "folder.pth")


def test_the_old_format_is_known_by_its_first_bytes():
    """The magic number that PyTorch pickled first, 0x1950a86a20f9469cfc6c."""
    assert pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) == OLD_FORMAT


def test_sizes_that_lie_are_refused(tmp_path):
    top = {"state_dict": {"a": tensor(TWELVE, 0, (12,), (1,))}}
    path = tmp_path / "x.pth"
    write_members(path, top, NUMBERS, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"claims .* bytes, stored in"):
        read_torch_file(path)
    data = write_members(path, top, NUMBERS).read_bytes()
    honest, lie = struct.pack("<II", 48, 48), struct.pack("<II", 1 << 30, 1 << 30)
    assert data.count(honest) == 2  # beside the member and in the directory
    path.write_bytes(data.replace(honest, lie))
    with pytest.raises(ValueError, match="claims 1073741824 bytes"):
        read_torch_file(path)


def test_other_archives_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(ValueError, match=r"has no data\.pkl"):
        read_torch_file(path)
    for top in ([1], {}, {"state_dict": 3}):
        with pytest.raises(ValueError, match="no dict of arrays"):
            read_torch_file(write_members(path, top, {}))
    with pytest.raises(ValueError, match="expected b'little'"):
        read_torch_file(write_members(path, {"a": 1}, {}, byteorder=b"big"))


def test_safetensors_there_and_back_with_a_config(tmp_path):
    path = tmp_path / "deep" / "x.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    config = {"model": {"name": "mst", "pyramid": [1, 2]}}
    write_safetensors(path, arrays, config)
    file = read_torch_file(path)
    np.testing.assert_array_equal(file.arrays["a"], [[0, 3], [1, 4], [2, 5]])
    assert file.config == config and file.published == {}
    with pytest.raises(ValueError, match="exists already"):
        write_safetensors(path, arrays, config)
    assert os.listdir(path.parent) == ["x.safetensors"]


def test_safetensors_of_other_programs(tmp_path):
    path = tmp_path / "x.safetensors"
    half = jnp.asarray([1.5, -2.0], jnp.bfloat16)
    data = safetensors.numpy.save({"a": np.asarray(half)}, metadata={"format": "pt"})
    path.write_bytes(data)
    file = read_torch_file(path)
    np.testing.assert_array_equal(file.arrays["a"].astype(np.float32), [1.5, -2])
    assert file.config == {}
    for said, config in (("3", {}), ('{"a": 1}', {"a": 1})):
        data = safetensors.numpy.save({"a": np.ones(1)}, metadata={"mst_jax": said})
        path.write_bytes(data)
        assert read_torch_file(path).config == config
    data = safetensors.numpy.save({"a": np.ones(1)}, metadata={"mst_jax": "{"})
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"not a whole \.safetensors"):
        read_torch_file(path)
