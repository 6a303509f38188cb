"""Checkpoints of PyTorch as NumPy arrays, without PyTorch: `.pth` and `.safetensors`.

A `.pth` is a zip archive: `data.pkl` says what there is, `data/KEY` are the numbers. The
pickle is read as inert records, and arrays are made of those that describe a tensor: no
name in a file can make this program run anything.
"""

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from mst_jax.atomic_io import write_whole
from mst_jax.safe_pickle import Record, read_records

ARCHIVES, SAFETENSORS = (".pth", ".pt"), ".safetensors"
SUFFIXES = (*ARCHIVES, SAFETENSORS)
CONFIG_KEY = "mst_jax"

KINDS = {
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

# The pickled number with which PyTorch's files began before version 1.6.
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class TorchFile(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        arrays: name -> array, in the type of the file.
        config: what `write_safetensors` was given; empty if another program wrote it.
        published: the config of the published program, plain values and records; empty
            if there is none.
    """

    arrays: dict[str, np.ndarray]
    config: Mapping
    published: Mapping


def is_torch_file(path: Path) -> bool:
    """Is it a name of a checkpoint of PyTorch?"""
    return path.suffix in SUFFIXES


def read_torch_file(path: Path) -> TorchFile:
    """Reads `.pth`, `.pt` or `.safetensors`; runs nothing that the file names.

    A `.pth` may hold {'state_dict', 'config'}, {'model'}, or the arrays alone.

    Raises:
        ValueError: no such file, a format of another kind, damaged, or no arrays in it.
    """
    if not path.is_file():
        what = "not a file" if path.exists() else "not there"
        raise ValueError(
            f"checkpoint {path} is {what}; expected a .pth or .safetensors"
        )
    try:
        if path.suffix == SAFETENSORS:
            return _read_safetensors(path)
        return _read_archive(path)
    except ValueError as error:
        raise ValueError(f"{path} is no checkpoint to read: {error}") from None


def write_safetensors(
    path: Path, arrays: dict[str, np.ndarray], config: Mapping
) -> None:
    """Writes arrays and a config of plain values, whole or not at all.

    Raises:
        ValueError: there is something at `path` already, or it cannot be written.
    """
    if path.exists():
        raise ValueError(f"{path} exists already; choose another file or remove it")
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = safetensors.numpy.save(kept, metadata={CONFIG_KEY: json.dumps(config)})
    write_whole(path, data)


def _read_safetensors(path: Path) -> TorchFile:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = json.loads((file.metadata() or {}).get(CONFIG_KEY, "{}"))
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"not a whole .safetensors ({error})") from None
    return TorchFile(arrays, config if isinstance(config, dict) else {}, {})


def _read_archive(path: Path) -> TorchFile:
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
    except Exception as error:  # a broken archive fails in any way it likes
        raise ValueError(
            f"not a whole zip archive ({error}); download it again"
        ) from None


def _read_members(archive: zipfile.ZipFile, num_bytes: int) -> TorchFile:
    """Reads the pickle and the arrays that it describes."""
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it has no data.pkl, so PyTorch did not write it")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist():
        order = _read_member(archive, f"{root}byteorder", num_bytes)
        if order != b"little":
            raise ValueError(f"its numbers are {order!r}-endian, expected b'little'")
    top = read_records(_read_member(archive, pickles[0], num_bytes))
    if not isinstance(top, dict):
        raise ValueError("it holds no dict of arrays")
    described = top.get("state_dict", top.get("model", top))
    if not isinstance(described, dict) or not described:
        raise ValueError("it holds no dict of arrays")
    storages: dict[str, bytes] = {}

    def storage(key: str) -> bytes:
        if key not in storages:
            storages[key] = _read_member(archive, f"{root}data/{key}", num_bytes)
        return storages[key]

    arrays = {}
    for name, value in described.items():
        try:
            arrays[str(name)] = _make_array(value, storage, num_bytes)
        except Exception as error:  # what a hostile file describes fails in any way
            raise ValueError(f"{name!r} is no array ({error!r})") from None
    config = top.get("config")
    return TorchFile(arrays, {}, config if isinstance(config, dict) else {})


def _read_member(archive: zipfile.ZipFile, name: str, num_bytes: int) -> bytes:
    """Reads a member that is stored as it is; PyTorch compresses nothing."""
    member = archive.getinfo(name)
    size, stored = member.file_size, member.compress_type == zipfile.ZIP_STORED
    if not stored or size != member.compress_size or size > num_bytes:
        raise ValueError(
            f"{name} claims {size} bytes, stored in {member.compress_size}, in an "
            f"archive of {num_bytes}"
        )
    return archive.read(member)


def _make_array(
    value: object, storage: Callable[[str], bytes], num_bytes: int
) -> np.ndarray:
    """Makes the array that a record describes: strides and offset in a storage."""
    if isinstance(value, Record) and value.name == "torch._utils._rebuild_parameter":
        value = value.arguments[0]
    if not isinstance(value, Record):
        raise TypeError(f"a {type(value).__name__}")
    if value.name != "torch._utils._rebuild_tensor_v2":
        raise TypeError(f"made by {value.name or 'nothing'}")
    (_, kind, key, _, _), offset, shape, strides = value.arguments[:4]
    dtype = np.dtype(KINDS[kind.name])
    for number in (offset, *shape, *strides):
        if type(number) is not int or number < 0:
            raise ValueError(f"a size, stride or offset is {number!r}")
    numbers = np.frombuffer(storage(key), dtype)
    count = math.prod(shape)
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    inside = offset + last < len(numbers) and count * dtype.itemsize <= num_bytes
    if count and not inside:
        raise ValueError(f"shape {shape} lies outside its {len(numbers)} numbers")
    return np.lib.stride_tricks.as_strided(
        numbers[offset:] if count else numbers[:0],
        shape,
        [step * dtype.itemsize for step in strides],
        writeable=False,
    )
