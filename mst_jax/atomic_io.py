"""Write files atomically: complete or not at all, on a disk or in a bucket."""

import os
from pathlib import Path

from etils import epath

PathLike = Path | epath.Path
"""A path on a disk or in a bucket (`gs://bucket/folder`)."""


def as_path(text: str | os.PathLike) -> PathLike:
    """Return the path that a user named.

    Raises:
        ValueError: The bucket cannot be reached.
    """
    if "://" not in os.fspath(text):
        return Path(text)
    try:
        path = epath.Path(text)
        path.exists()
    except Exception as error:  # the type of error differs between kinds of buckets
        raise ValueError(
            f"{text} cannot be reached ({error}); for gs:// pip install "
            "'mst_jax[gcs]' and log in with gcloud auth application-default login"
        ) from None
    return path


def check_writable(path: PathLike) -> None:
    """Check before long work that a file can be written; nothing is created.

    Buckets are not checked.

    Args:
        path: File to write later.

    Raises:
        ValueError: The path is a folder, a parent is a file, or the nearest existing
            folder is not writable.
    """
    if not isinstance(path, Path):
        return
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file to write")
    nearest = next(folder for folder in path.parents if os.path.lexists(folder))
    if not nearest.is_dir():
        raise ValueError(
            f"cannot create the folder {path.parent} for {path.name}: {nearest} is not a "
            "folder; choose another path"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(
            f"cannot write {path}: the folder {nearest} is not writable; choose another"
        )


def atomic_write(path: PathLike, data: bytes, *, durable: bool = False) -> None:
    """Write a file and replace an existing one; missing folders are created.

    Args:
        path: File to write.
        data: Content of the file.
        durable: True = return only when the file survives a power failure.

    Raises:
        ValueError: See `check_writable`.
        OSError: The disk is full, or writing is not permitted.
    """
    if not isinstance(path, Path):
        # Buckets write an object completely or not at all.
        path.write_bytes(data)
        return
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Rename is atomic within one folder: a reader sees the old or the new file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        if durable:
            _sync_to_disk(temporary)
        temporary.replace(path)
        if durable:
            _sync_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
