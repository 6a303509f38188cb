"""A model as one file: parameters as `.safetensors`, with a JSON of the same name beside.

NAME.safetensors holds the parameters by their paths ("backbone/block0/mlp/out/kernel").
NAME.json holds the config, the SHA-256 of NAME.safetensors and any facts about the model
(name, license, training data). The file is read through a memory map, without Orbax.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from mst_jax.atomic_io import PathLike, atomic_write
from mst_jax.checkpoints.parameter_mapping import FlatParams

# Metadata that distinguishes these files from those with a published program's names.
FORMAT_KEY, PACKED_FORMAT = "format", "mst_jax"

# Keys of the JSON that are written anew; all others are facts about the model.
WRITTEN_KEYS = ("format", "sha256", "config")


class PackedModel(NamedTuple):
    """Content of both files.

    Attributes:
        flat_params: Path -> parameter, in the dtype of the file.
        config: Config of the model.
    """

    flat_params: dict[str, np.ndarray]
    config: dict[str, Any]


def is_packed_model(path: PathLike) -> bool:
    """Return whether a path is a file that `write_packed_model` wrote, whatever its name.

    Args:
        path: Path of anything; it need not exist.
    """
    if not isinstance(path, Path) or not path.is_file():
        return False
    try:
        # Only the header is read.
        with safetensors.safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(FORMAT_KEY) == PACKED_FORMAT
    except (safetensors.SafetensorError, OSError):
        return False


def read_packed_model(path: Path) -> PackedModel:
    """Read both files of a packed model.

    Args:
        path: Path of the `.safetensors`.

    Raises:
        ValueError: A file is missing or damaged.
    """
    json_path = path.with_suffix(".json")
    try:
        model_card = json.loads(json_path.read_text())
        expected_hash, config = model_card["sha256"], dict(model_card["config"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{json_path}, which describes {path.name}, cannot be read ({error!r}); "
            "restore it"
        ) from None
    # Hashing costs 40 ms for 60 MB; a changed byte would otherwise be another number.
    if not path.is_file() or file_sha256(path) != expected_hash:
        raise ValueError(
            f"{path} is damaged: its SHA-256 is not the one in {json_path.name}; download "
            "or install it again"
        )
    with safetensors.safe_open(path, framework="numpy") as file:
        flat_params = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return PackedModel(flat_params, config)


def write_packed_model(
    path: Path,
    flat_params: FlatParams,
    config: Mapping[str, Any],
    *,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a model as NAME.safetensors and NAME.json.

    Args:
        path: Path of the `.safetensors` to create.
        flat_params: Path -> parameter, in the dtype to store.
        config: Config of the model, values that JSON can hold.
        facts: More keys of the JSON, such as "name" and "license".

    Raises:
        ValueError: One of the files already exists, or cannot be written.
    """
    json_path = path.with_suffix(".json")
    # Neither file of another model is replaced.
    for new_path in (path, json_path):
        if new_path.exists():
            raise ValueError(
                f"{new_path} already exists; choose another file or remove it"
            )
    # safetensors writes the memory of an array, so views must become arrays first.
    arrays = {name: np.ascontiguousarray(value) for name, value in flat_params.items()}
    file_bytes = safetensors.numpy.save(arrays, metadata={FORMAT_KEY: PACKED_FORMAT})
    dtype_names = sorted({str(array.dtype) for array in arrays.values()})
    model_card = {
        **(facts or {}),
        "format": f"safetensors, {', '.join(dtype_names)}, parameters by their paths",
        "sha256": hashlib.sha256(file_bytes).hexdigest(),
        "config": config,
    }
    # The JSON last: without it the parameters are not read.
    atomic_write(path, file_bytes)
    atomic_write(json_path, f"{json.dumps(model_card, indent=1)}\n".encode())


def read_facts(json_path: Path) -> dict[str, Any]:
    """Read the facts about a model from a JSON, to write them for a new version of it.

    Args:
        json_path: JSON of a packed model, or any JSON object.

    Raises:
        ValueError: There is no such file, or it holds no JSON object.
    """
    try:
        model_card = json.loads(json_path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{json_path} cannot be read as JSON ({error})") from None
    if not isinstance(model_card, dict):
        raise ValueError(
            f"{json_path} is not a JSON object, expected pairs of a name and a fact"
        )
    return {key: value for key, value in model_card.items() if key not in WRITTEN_KEYS}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Args:
        path: Path of the file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
