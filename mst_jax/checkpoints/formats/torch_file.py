"""PyTorch's `.pth` archives as NumPy arrays, without PyTorch.

A `.pth` is a zip archive: `data.pkl` describes its content, `data/KEY` holds the values.
The pickle is read as inert records, and arrays are made of the records that describe a
tensor: no name in a file can make this program execute anything.
"""

import zipfile
from pathlib import Path

from mst_jax.checkpoints.formats.state_dict import TorchArrays, read_state_dict
from mst_jax.safe_pickle import read_pickled_objects


def read_torch_archive(path: Path) -> TorchArrays:
    """Read a `.pth` or `.pt` archive; nothing that it names is executed.

    It may hold {'state_dict', 'config'}, {'model'}, the arrays alone, or a module, see
    `state_dict.find_state_dict`.

    Args:
        path: Path of an existing file.

    Returns:
        Name -> array in the dtype of the file, and the config of the published program
        as plain values and `PickledObject`s, None if there is none.

    Raises:
        ValueError: The file has another format, is damaged, or holds no arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_members(archive, path.stat().st_size)
    except ValueError:
        raise
    except Exception as error:  # a broken archive raises errors of any type
        raise ValueError(
            f"not an intact zip archive ({error}); download it again"
        ) from None


def _read_members(archive: zipfile.ZipFile, num_bytes: int) -> TorchArrays:
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
    # 2. The pickle: a dict of tensors, perhaps inside other dicts.
    content = read_pickled_objects(_read_member(archive, pickle_names[0], num_bytes))
    # 3. The arrays; several may share a storage, which is read once.
    loaded_storages: dict[str, bytes] = {}

    def read_storage(key: str) -> bytes:
        if key not in loaded_storages:
            loaded_storages[key] = _read_member(
                archive, f"{folder}data/{key}", num_bytes
            )
        return loaded_storages[key]

    return read_state_dict(content, read_storage, num_bytes)


def _read_member(archive: zipfile.ZipFile, name: str, num_bytes: int) -> bytes:
    """Read an uncompressed member; PyTorch compresses none."""
    member_info = archive.getinfo(name)
    size, is_stored = (
        member_info.file_size,
        member_info.compress_type == zipfile.ZIP_STORED,
    )
    # A false size would allocate far more memory than the file has bytes.
    if not is_stored or size != member_info.compress_size or size > num_bytes:
        raise ValueError(
            f"{name} claims {size} bytes, stored in {member_info.compress_size}, in an "
            f"archive of {num_bytes}"
        )
    return archive.read(member_info)
