"""Files of PyTorch before version 1.6, and plain pickles of NumPy arrays.

An old file of PyTorch is five pickles (magic number, version, facts about the machine,
content, keys of the storages) and then the storages: 8 bytes of length and the values.
They are read as inert records, like `torch_file`'s archives.
"""

from pathlib import Path

import numpy as np

from mst_jax.checkpoints.formats.state_dict import TorchArrays, read_state_dict
from mst_jax.checkpoints.formats.torch_tensors import STORAGE_DTYPES
from mst_jax.safe_pickle import read_pickle_sequence, read_pickled_objects

# First pickle of a file, and the opcode and bytes of the number in it.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
MAGIC_BYTES = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"

_NUM_PICKLES = 5
_LENGTH_BYTES = 8


def read_torch_legacy_file(path: Path) -> TorchArrays:
    """Read a file of PyTorch before version 1.6; nothing that it names is executed.

    Args:
        path: Path of an existing file.

    Raises:
        ValueError: The file has another format, is damaged, or holds no arrays.
    """
    data = path.read_bytes()
    pickles = read_pickle_sequence(data, count=_NUM_PICKLES)
    magic_number, _, machine, content, keys = pickles.values
    if magic_number != MAGIC_NUMBER or not isinstance(keys, list):
        raise ValueError("it does not begin as PyTorch's old files do")
    if isinstance(machine, dict) and machine.get("little_endian") is False:
        raise ValueError("its numbers are big-endian, expected little-endian")
    # Dtypes are in the persistent ids, lengths in front of the values.
    try:
        dtypes = {
            pid[2]: np.dtype(STORAGE_DTYPES[pid[1].type_name])  # pyright: ignore
            for pid in pickles.persistent_ids
        }
        storages = _find_storages(memoryview(data), pickles.num_bytes, keys, dtypes)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"its storages cannot be read ({error!r})") from None
    return read_state_dict(content, storages.__getitem__, len(data))


def _find_storages(
    data: memoryview, start: int, keys: list, dtypes: dict[str, np.dtype]
) -> dict[str, memoryview]:
    """Return the values of each storage by its key."""
    storages = {}
    for key in keys:
        length_bytes = data[start : start + _LENGTH_BYTES]
        start += _LENGTH_BYTES
        num_values = int.from_bytes(length_bytes, "little", signed=True)
        stop = start + num_values * dtypes[key].itemsize
        if len(length_bytes) < _LENGTH_BYTES or not start <= stop <= len(data):
            raise ValueError(
                f"storage {key!r} of {num_values} values exceeds the file of {len(data)} "
                "bytes; download it again"
            )
        storages[key] = data[start:stop]
        start = stop
    return storages


def read_array_pickle(path: Path) -> TorchArrays:
    """Read a pickle of a dict of NumPy arrays, as Detectron and others write.

    Args:
        path: Path of an existing file.

    Raises:
        ValueError: The file is damaged, or holds no arrays.
    """
    data = path.read_bytes()
    return read_state_dict(read_pickled_objects(data), {}.__getitem__, len(data))
