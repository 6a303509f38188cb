"""PyTorch's `.pth` archives as NumPy arrays, without PyTorch.

A `.pth` is a zip archive: `data.pkl` describes its content, `data/KEY` holds the values.
The pickle is read as inert records, and arrays are made of the records that describe a
tensor: no name in a file can make this program execute anything.
"""

import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mst_jax.safe_pickle import PickledObject, read_pickled_objects

# Class of a storage in the pickle -> dtype of its values.
STORAGE_DTYPES = {
    "torch.DoubleStorage": np.float64,
    "torch.FloatStorage": np.float32,
    "torch.HalfStorage": np.float16,
    "torch.BFloat16Storage": jnp.bfloat16,
    "torch.LongStorage": np.int64,
    "torch.IntStorage": np.int32,
    "torch.ShortStorage": np.int16,
    "torch.CharStorage": np.int8,
    "torch.ByteStorage": np.uint8,
    "torch.BoolStorage": np.bool_,
}

# The pickled magic number at the beginning of PyTorch's files before version 1.6.
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def read_torch_archive(path: Path) -> tuple[dict[str, np.ndarray], Mapping | None]:
    """Read a `.pth` or `.pt` archive; nothing that it names is executed.

    It may hold {'state_dict', 'config'}, {'model'}, or the arrays alone.

    Args:
        path: Path of an existing file.

    Returns:
        Name -> array in the dtype of the file, and the config of the published program
        as plain values and `PickledObject`s, None if there is none.

    Raises:
        ValueError: The file has another format, is damaged, or holds no arrays.
    """
    with path.open("rb") as file:
        if file.read(len(OLD_FORMAT)) == OLD_FORMAT:
            raise ValueError(
                "it has PyTorch's old format, not a zip archive; open it in PyTorch and "
                "save it again: torch.save(torch.load(OLD, map_location='cpu'), NEW)"
            )
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_members(archive, path.stat().st_size)
    except ValueError:
        raise
    except Exception as error:  # a broken archive raises errors of any type
        raise ValueError(
            f"not an intact zip archive ({error}); download it again"
        ) from None


def _read_members(
    archive: zipfile.ZipFile, num_bytes: int
) -> tuple[dict[str, np.ndarray], Mapping | None]:
    """Read the pickle and the arrays that it describes."""
    # 1. The folder of all members is that of data.pkl; byte order as on this machine.
    pickle_names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickle_names) != 1:
        raise ValueError("it has no data.pkl, so PyTorch did not write it")
    folder = pickle_names[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist():
        byte_order = _read_member(archive, f"{folder}byteorder", num_bytes)
        if byte_order != b"little":
            raise ValueError(
                f"its numbers are {byte_order!r}-endian, expected b'little'"
            )
    # 2. The pickle: a dict of tensors, perhaps inside another dict.
    pickle_bytes = _read_member(archive, pickle_names[0], num_bytes)
    archive_content = read_pickled_objects(pickle_bytes)
    if not isinstance(archive_content, dict):
        raise ValueError("it holds no dict of arrays")
    model_content = archive_content.get("model", archive_content)
    tensor_records = archive_content.get("state_dict", model_content)
    if not isinstance(tensor_records, dict) or not tensor_records:
        raise ValueError("it holds no dict of arrays")
    # 3. The arrays; several may share a storage, which is read once.
    loaded_storages: dict[str, bytes] = {}

    def read_storage(key: str) -> bytes:
        if key not in loaded_storages:
            loaded_storages[key] = _read_member(
                archive, f"{folder}data/{key}", num_bytes
            )
        return loaded_storages[key]

    arrays = {}
    for name, value in tensor_records.items():
        try:
            arrays[str(name)] = _make_array(value, read_storage, num_bytes)
        except Exception as error:  # a hostile description raises errors of any type
            raise ValueError(f"{name!r} is not an array ({error!r})") from None
    config = archive_content.get("config")
    return arrays, config if isinstance(config, dict) else None


def _read_member(archive: zipfile.ZipFile, name: str, num_bytes: int) -> bytes:
    """Read an uncompressed member; PyTorch compresses none."""
    member_info = archive.getinfo(name)
    size, is_stored = (
        member_info.file_size,
        member_info.compress_type == zipfile.ZIP_STORED,
    )
    # A size that lies would allocate far more than the file is long.
    if not is_stored or size != member_info.compress_size or size > num_bytes:
        raise ValueError(
            f"{name} claims {size} bytes, stored in {member_info.compress_size}, in an "
            f"archive of {num_bytes}"
        )
    return archive.read(member_info)


def _make_array(
    value: Any, read_storage: Callable[[str], bytes], num_bytes: int
) -> np.ndarray:
    """Make the array that a record describes: strides and offset in a storage."""
    # 1. A parameter wraps its tensor.
    if (
        isinstance(value, PickledObject)
        and value.type_name == "torch._utils._rebuild_parameter"
    ):
        value = value.arguments[0]
    if not isinstance(value, PickledObject):
        raise TypeError(f"a {type(value).__name__}")
    if value.type_name != "torch._utils._rebuild_tensor_v2":
        raise TypeError(f"made by {value.type_name or 'nothing'}")
    (_, storage_type, key, _, _), offset, shape, strides = value.arguments[:4]
    dtype = np.dtype(STORAGE_DTYPES[storage_type.type_name])
    # 2. The array must lie inside its storage: as_strided checks nothing.
    for size in (offset, *shape, *strides):
        if type(size) is not int or size < 0:
            raise ValueError(f"a size, stride or offset is {size!r}")
    storage = np.frombuffer(read_storage(key), dtype)
    num_values = math.prod(shape)
    last_index = offset + sum(
        (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
    )
    is_small = num_values * dtype.itemsize <= num_bytes
    if num_values and not (last_index < len(storage) and is_small):
        raise ValueError(f"shape {shape} exceeds its storage of {len(storage)} values")
    # 3. A view of the storage; empty arrays may have any offset.
    return np.lib.stride_tricks.as_strided(
        storage[offset:] if num_values else storage[:0],
        shape,
        [stride * dtype.itemsize for stride in strides],
        writeable=False,
    )
