"""Files of weights as programs publish them: `.pth`, `.safetensors`, `.npz`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from mst_jax.atomic_io import PathLike, atomic_write
from mst_jax.checkpoints.dinov2 import NPZ_SUFFIX, read_npz
from mst_jax.checkpoints.torch_file import read_torch_archive

TORCH_SUFFIXES, SAFETENSORS_SUFFIX = (".pth", ".pt"), ".safetensors"
WEIGHT_SUFFIXES = (*TORCH_SUFFIXES, SAFETENSORS_SUFFIX, NPZ_SUFFIX)

# Key of the metadata of a .safetensors that holds the config as JSON.
CONFIG_KEY = "mst_jax"


class WeightFile(NamedTuple):
    """Content of a file of weights.

    Attributes:
        arrays: Name -> array, in the dtype of the file.
        config: Config that `write_safetensors` was given; None if another program wrote
            the file.
        published_config: Config of the published program, plain values and
            `PickledObject`s; None if there is none.
    """

    arrays: dict[str, np.ndarray]
    config: Mapping | None = None
    published_config: Mapping | None = None


def is_weight_file(path: PathLike) -> bool:
    """Return whether a path has the suffix of a file of weights.

    Args:
        path: Path of anything; it need not exist.
    """
    return path.suffix in WEIGHT_SUFFIXES


def read_weight_file(path: PathLike) -> WeightFile:
    """Read `.pth`, `.pt`, `.safetensors`, or DINOv2's `.npz`; execute nothing in it.

    Args:
        path: Path of the file, on a disk.

    Raises:
        ValueError: There is no such file, it is in a bucket, has another format, is
            damaged, or holds no arrays.
    """
    if not isinstance(path, Path):
        raise ValueError(f"{path} is in a bucket; copy it to a disk first")
    if path.suffix == NPZ_SUFFIX:
        return WeightFile(read_npz(path))
    if not path.is_file():
        path_problem = "not a file" if path.exists() else "not there"
        raise ValueError(
            f"checkpoint {path} is {path_problem}; expected a .pth or .safetensors"
        )
    try:
        if path.suffix == SAFETENSORS_SUFFIX:
            return _read_safetensors(path)
        arrays, published_config = read_torch_archive(path)
        return WeightFile(arrays, published_config=published_config)
    except ValueError as error:
        raise ValueError(
            f"{path} is not a checkpoint that can be read: {error}"
        ) from None


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
        raise ValueError(f"{path} exists already; choose another file or remove it")
    # safetensors writes the memory of an array, so views must become arrays first.
    contiguous_arrays = {
        name: np.ascontiguousarray(array) for name, array in arrays.items()
    }
    metadata = {CONFIG_KEY: json.dumps(config)}
    atomic_write(path, safetensors.numpy.save(contiguous_arrays, metadata=metadata))


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            # Read through a memory map, one array after another.
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = json.loads((file.metadata() or {}).get(CONFIG_KEY, "null"))
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"not an intact .safetensors ({error})") from None
    return WeightFile(arrays, config if isinstance(config, dict) else None)
