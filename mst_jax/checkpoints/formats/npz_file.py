"""NumPy's `.npz` archives; nothing in them is executed, and sizes are checked."""

import io
import zipfile
from pathlib import Path

import numpy as np

# Archives that expand more are not weights, which compress little.
_MAX_EXPANSION = 50


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an `.npz`; pickled objects are refused.

    Args:
        path: Path of an existing file.

    Returns:
        Name -> array, in the dtype of the file.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            num_bytes = sum(member.file_size for member in members)
            if num_bytes > _MAX_EXPANSION * path.stat().st_size:
                raise ValueError(f"it expands to {num_bytes} bytes")
            return {
                member.filename.removesuffix(".npy"): _read_npy(archive.read(member))
                for member in members
            }
    except Exception as error:  # a broken archive raises errors of any type
        raise ValueError(f"not an intact .npz of arrays ({error})") from None


def _read_npy(data: bytes) -> np.ndarray:
    """Read an array without allocating what its header claims."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, expected numbers")
    values = np.frombuffer(data, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if is_fortran else "C")
