"""Files that appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
from pathlib import Path


def make_room(path: Path) -> None:
    """Makes the folder that a file shall be written to; for use before long work.

    Raises:
        ValueError: a folder stands in the file's place, or a file in the folder's.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot make the folder {path.parent} for {path.name}: {error.strerror}"
        ) from None


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file, in lieu of an older one; folders that are missing are made.

    Raises:
        ValueError: see `make_room`.
        OSError: the disk is full, or writing is not allowed.
    """
    make_room(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
