"""Checks of a checkpoint: checksums of its files, shapes of its parameters.

Orbax reads a changed byte as another number without an error, so a checkpoint on a disk
holds the CRC-32 of its files. Storage buckets check their own files: checkpoints in a
bucket have no checksums and count as intact.
"""

import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mst_jax.atomic_io import PathLike
from mst_jax.path_rules import leaf_path

CHECKSUM_FILE = "checksums.json"

# Written after the checksums, and not needed to read a checkpoint.
UNCHECKED_FILES = {CHECKSUM_FILE, "commit_success.txt", "_CHECKPOINT_METADATA"}

BLOCK_BYTES = 1 << 24

# Orbax and TensorStore report damaged files with any of these.
READ_ERRORS = (OSError, ValueError, TypeError, KeyError)

ShapesByPath = dict[str, tuple[int, ...]]
"""Path of a parameter, such as "neck/out4/bias" -> its shape."""


def write_checksums(folder: PathLike) -> None:
    """Write `checksums.json`: the size and the CRC-32 of every file below a folder.

    Args:
        folder: Folder of a complete checkpoint; nothing is written into a bucket.
    """
    if not isinstance(folder, Path):
        return
    # Sorted, so that the same checkpoint always has the same checksum file.
    checked_files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in UNCHECKED_FILES
    )
    checksums = {
        str(path.relative_to(folder)): _size_and_checksum(path)
        for path in checked_files
    }
    (folder / CHECKSUM_FILE).write_text(json.dumps(checksums, indent=1))


def find_damage(folder: PathLike, subfolder: str | None = None) -> str | None:
    """Compare the files of a checkpoint with its checksums.

    Args:
        folder: Folder of the checkpoint. One without checksums, written by an older
            version, counts as intact.
        subfolder: Name of a folder inside it that must not be empty; only its files are
            compared. None compares all files.

    Returns:
        A phrase that names the first file that differs from what was written, None if
        there is none.
    """
    if not isinstance(folder, Path):
        return None
    # An interrupted copy may leave an empty folder, for which there are no checksums.
    checked_folder = folder / subfolder if subfolder else folder
    if not checked_folder.is_dir() or not any(checked_folder.iterdir()):
        return f"{subfolder or 'the folder'} is empty"
    try:
        checksums = json.loads((folder / CHECKSUM_FILE).read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return f"{CHECKSUM_FILE} is not JSON"
    for file_name, expected_shapes in checksums.items():
        if subfolder and not file_name.startswith(f"{subfolder}/"):
            continue
        path = folder / file_name
        if not path.is_file():
            return f"{file_name} is missing"
        if _size_and_checksum(path) != expected_shapes:
            return f"{file_name} is not as it was written"
    return None


def quarantine_damaged(checkpoint_folders: Sequence[PathLike]) -> list[str]:
    """Rename the newest checkpoints to STEP.damaged until the newest is intact.

    Args:
        checkpoint_folders: Checkpoint folders of one run, oldest first; may be empty.

    Returns:
        One message for each renamed checkpoint, newest first.

    Raises:
        ValueError: All checkpoints are damaged; then none is renamed.
    """
    # 1. The newest intact checkpoint, and all damaged ones after it.
    damage_messages: dict[PathLike, str] = {}
    intact_step = None
    for folder in reversed(checkpoint_folders):
        damage = find_damage(folder)
        if damage is None:
            intact_step = folder.name
            break
        damage_messages[folder] = f"checkpoint {folder} is damaged ({damage})"
    if damage_messages and intact_step is None:
        newest_message = next(iter(damage_messages.values()))
        raise ValueError(
            f"{newest_message}, and there is no other; restore it, or start again with "
            "another --workdir"
        )
    # 2. Rename the damaged ones; one of the same step may exist already.
    for folder in damage_messages:
        quarantine_folder = folder.with_name(f"{folder.name}.damaged")
        shutil.rmtree(quarantine_folder, ignore_errors=True)
        folder.rename(quarantine_folder)
    return [
        f"{damage_message} and set aside; the run resumes from step {intact_step}, the "
        "one before"
        for damage_message in damage_messages.values()
    ]


def check_same_shapes(
    saved_shapes: ShapesByPath, expected_shapes: ShapesByPath, source: PathLike | str
) -> None:
    """Raise ValueError unless saved parameters have the expected paths and shapes.

    Args:
        saved_shapes: Path -> shape of the saved parameters.
        expected_shapes: Path -> shape of the parameters of the config's model.
        source: File or folder of the saved parameters, for the message.
    """
    # All paths of both trees: a parameter may be missing on either side.
    for path in sorted(expected_shapes.keys() | saved_shapes.keys()):
        if expected_shapes.get(path) != saved_shapes.get(path):
            raise ValueError(
                f"{source} holds another model: {path} is "
                f"{saved_shapes.get(path, 'missing')}, the config's model has "
                f"{expected_shapes.get(path, 'none')}; use the config it was saved with"
            )


def check_finite(tree: Any, source: PathLike | str) -> None:
    """Raise ValueError unless all numbers of a tree are finite.

    Args:
        tree: Parameters, on the host or on a device.
        source: File or folder of the saved parameters, for the message.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not np.isfinite(np.asarray(leaf)).all():
            raise ValueError(
                f"{source} cannot be used: its parameter {leaf_path(path)} holds numbers "
                "that are not finite (NaN or infinity); use an earlier checkpoint"
            )


def flat_shapes(tree: Any) -> ShapesByPath:
    """Return the shape of each array of a tree by its path, such as "neck/out4/bias"."""
    return {
        leaf_path(path): tuple(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _size_and_checksum(path: Path) -> list[int]:
    """Return the size of a file in bytes and its CRC-32."""
    checksum = 0
    # Block by block: a checkpoint may be larger than the memory.
    with open(path, "rb") as file:
        while data_block := file.read(BLOCK_BYTES):
            checksum = zlib.crc32(data_block, checksum)
        return [file.tell(), checksum]
