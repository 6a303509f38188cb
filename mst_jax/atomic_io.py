"""Files that appear whole or not at all: written beside their place, then renamed.

A place is on a disk or, as `gs://bucket/folder`, in a bucket, where what is written
appears whole by itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from etils import epath

Place = Path | epath.Path


def place_of(text: str | os.PathLike) -> Place:
    """The place that a user names.

    Raises:
        ValueError: the bucket cannot be reached from here.
    """
    if "://" not in os.fspath(text):
        return Path(text)
    try:
        place = epath.Path(text)
        place.exists()
    except Exception as error:  # what else is wrong differs by the kind of bucket
        raise ValueError(
            f"{text} cannot be reached ({error}); for gs:// install gcsfs and log in "
            "with gcloud auth application-default login"
        ) from None
    return place


def check_room(path: Place) -> None:
    """Can a file be written here? For use before long work; makes nothing.

    A bucket is not asked.

    Raises:
        ValueError: a folder stands in the file's place, a file in its folder's, or the
            folder that is there may not be written to.
    """
    if not isinstance(path, Path):
        return
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file to write")
    nearest = next(folder for folder in path.parents if os.path.lexists(folder))
    if not nearest.is_dir():
        raise ValueError(
            f"cannot make the folder {path.parent} for {path.name}: {nearest} is no "
            "folder; choose another place"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(
            f"cannot write {path}: the folder {nearest} is not writable; choose another"
        )


def write_whole(path: Place, data: bytes) -> None:
    """Writes a file, in lieu of an older one; folders that are missing are made.

    Raises:
        ValueError: see `check_room`.
        OSError: the disk is full, or writing is not allowed.
    """
    if not isinstance(path, Path):
        path.write_bytes(data)
        return
    check_room(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
