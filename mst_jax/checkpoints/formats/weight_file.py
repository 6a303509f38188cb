"""Files of weights as programs publish them, known by their content."""

import dataclasses
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from mst_jax.atomic_io import PathLike, atomic_write
from mst_jax.checkpoints.formats.npz_file import read_npz
from mst_jax.checkpoints.formats.state_dict import TorchArrays, strip_prefixes
from mst_jax.checkpoints.formats.torch_file import read_torch_archive
from mst_jax.checkpoints.formats.torch_legacy_file import (
    MAGIC_BYTES,
    read_array_pickle,
    read_torch_legacy_file,
)

SAFETENSORS_SUFFIX, NPZ_SUFFIX = ".safetensors", ".npz"
# The usual endings; a file of another name is read by its content.
WEIGHT_SUFFIXES = (
    *(".pth", ".pt", ".ckpt", ".bin", ".pth.tar", ".pkl"),
    *(SAFETENSORS_SUFFIX, NPZ_SUFFIX),
)

# Key of the metadata of a .safetensors that holds the config as JSON.
CONFIG_KEY = "mst_jax"

# First bytes of files that are not weights -> what they are and what to do.
_OTHER_FILES = {
    b"\x89HDF": "an HDF5 file; save the weights as .safetensors",
    b"\x1f\x8b": "a compressed file; unpack it first",
    b"version https://git-lfs": "a pointer of Git LFS; run git lfs pull",
    b"<": "a web page; download the file itself",
    b"{": "a JSON file; give the file with the arrays",
    b"\x93NUMPY": "a single array; give a file with all arrays, such as .npz",
}
_NUM_FIRST_BYTES = 512

# Offset of this word in a tar archive, from PyTorch before 0.2 or another program.
_TAR_WORD, _TAR_OFFSET = b"ustar", 257


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """Content of a file of weights.

    Attributes:
        arrays: Name -> array, in the dtype of the file; names without the prefixes of
            modules around the model, see `state_dict.strip_prefixes`.
        config: Config that `write_safetensors` was given; None if another program wrote
            the file.
        published_config: Config of the published program, plain values and
            `PickledObject`s; None if there is none.
        remarks: Sentences about what was chosen and left out.
    """

    arrays: dict[str, np.ndarray]
    config: Mapping | None = None
    published_config: Mapping | None = None
    remarks: tuple[str, ...] = ()


def is_weight_file(path: PathLike) -> bool:
    """Return whether a path is a file, or has the ending of a file of weights.

    Args:
        path: Path of anything; it need not exist.
    """
    is_named_so = path.name.endswith(WEIGHT_SUFFIXES)
    return is_named_so or (isinstance(path, Path) and path.is_file())


def read_weight_file(path: PathLike) -> WeightFile:
    """Read a file of weights by its content; execute nothing in it.

    Files of PyTorch (new and old), `.safetensors`, `.npz` and pickles of NumPy arrays are
    read, whatever their names end in.

    Args:
        path: Path of the file, on a disk.

    Raises:
        ValueError: There is no such file, it is in a bucket, has another format, is
            damaged, or holds no arrays.
    """
    if not isinstance(path, Path):
        raise ValueError(f"{path} is in a bucket; copy it to a disk first")
    if not path.is_file():
        path_problem = "not a file" if path.exists() else "not there"
        raise ValueError(
            f"checkpoint {path} is {path_problem}; expected a file of weights such as "
            ".pth or .safetensors"
        )
    try:
        weight_file = _detect_reader(path)(path)
        arrays, remarks = strip_prefixes(weight_file.arrays)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(
            f"{path} is not a checkpoint that can be read: {error}"
        ) from None
    return dataclasses.replace(
        weight_file, arrays=arrays, remarks=(*weight_file.remarks, *remarks)
    )


def write_safetensors(
    path: Path, arrays: dict[str, np.ndarray], config: Mapping
) -> None:
    """Write arrays and a config of plain values atomically.

    Args:
        path: Path of the file to create.
        arrays: Name -> array.
        config: Config that is stored as JSON in the metadata.

    Raises:
        ValueError: There is something at `path` already, or it cannot be written.
    """
    if path.exists():
        raise ValueError(f"{path} already exists; choose another file or remove it")
    # safetensors writes the memory of an array, so views must become arrays first.
    contiguous_arrays = {
        name: np.ascontiguousarray(array) for name, array in arrays.items()
    }
    metadata = {CONFIG_KEY: json.dumps(config)}
    atomic_write(path, safetensors.numpy.save(contiguous_arrays, metadata=metadata))


def _detect_reader(path: Path) -> Callable[[Path], WeightFile]:
    """Return the reader of a file's content; by the name if the content is unknown."""
    with path.open("rb") as file:
        first_bytes = file.read(_NUM_FIRST_BYTES)
    if not first_bytes:
        raise ValueError("it is empty; copy it again")
    if first_bytes.startswith(b"PK"):
        return _read_npz if _is_npz(path) else _read_torch_archive
    if MAGIC_BYTES in first_bytes[:32]:
        return _read_torch_legacy_file
    if first_bytes[:1] == b"\x80":
        return _read_array_pickle
    # 8 bytes of length and a header of JSON.
    if first_bytes[8:9] == b"{":
        return _read_safetensors
    for beginning, description in _OTHER_FILES.items():
        if first_bytes.startswith(beginning):
            raise ValueError(f"it is {description}")
    if first_bytes[_TAR_OFFSET:].startswith(_TAR_WORD):
        raise ValueError("it is a tar archive; unpack it first")
    readers = {SAFETENSORS_SUFFIX: _read_safetensors, NPZ_SUFFIX: _read_npz}
    return readers.get(path.suffix, _read_torch_archive)


def _is_npz(path: Path) -> bool:
    """Return whether all members of a zip archive are arrays of NumPy."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a broken archive raises errors of any type
        return path.suffix == NPZ_SUFFIX
    return bool(names) and all(name.endswith(".npy") for name in names)


def _read_npz(path: Path) -> WeightFile:
    return WeightFile(read_npz(path))


def _read_torch_archive(path: Path) -> WeightFile:
    return _from_torch(read_torch_archive(path))


def _read_torch_legacy_file(path: Path) -> WeightFile:
    return _from_torch(read_torch_legacy_file(path))


def _read_array_pickle(path: Path) -> WeightFile:
    return _from_torch(read_array_pickle(path))


def _from_torch(content: TorchArrays) -> WeightFile:
    return WeightFile(
        content.arrays, published_config=content.config, remarks=content.remarks
    )


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            # Read through a memory map, one array after another.
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = json.loads((file.metadata() or {}).get(CONFIG_KEY, "null"))
    except Exception as error:  # a broken file raises errors of several types
        raise ValueError(f"not an intact .safetensors ({error})") from None
    return WeightFile(arrays, config if isinstance(config, dict) else None)
