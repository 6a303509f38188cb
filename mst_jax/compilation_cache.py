"""Keep compiled programs on disk, so that the next start of a command loads them."""

import argparse
import contextlib
import os
from pathlib import Path

import jax

from mst_jax.atomic_io import PathLike, as_path

CACHE_DIR = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "mst_jax").expanduser()
"""Folder of this project for files that may be deleted at any time."""

PROGRAMS_DIR = CACHE_DIR / "programs"
MAX_PROGRAMS_BYTES = 4 * 2**30
CACHE_OFF = "off"

# JAX's own default: programs that compile faster are not stored.
JAX_MIN_COMPILE_SECONDS = 1.0


def add_cache_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag whose value is the argument of `enable_compilation_cache`."""
    parser.add_argument(
        "--compilation-cache",
        metavar="DIR|off",
        help="folder in which compiled programs are stored, so that the next start loads "
        "them; off: nothing is stored; default: JAX_COMPILATION_CACHE_DIR or "
        f"{PROGRAMS_DIR}",
    )


def enable_compilation_cache(setting: str | None = None) -> PathLike | None:
    """Store compiled programs on disk from here on.

    Call it before the first program is compiled. The setting holds for the process. The
    default folder belongs to this project, so it is limited to `MAX_PROGRAMS_BYTES`.

    Args:
        setting: Folder on a disk or in a bucket; "off" = no programs are stored or
            loaded; None = the folder that JAX is configured for
            (JAX_COMPILATION_CACHE_DIR), else `PROGRAMS_DIR`.

    Returns:
        The folder; None without a cache.

    Raises:
        ValueError: A folder that the user named cannot be written to.
    """
    jax.config.update("jax_enable_compilation_cache", setting != CACHE_OFF)
    if setting == CACHE_OFF:
        return None
    configured_folder = jax.config.values["jax_compilation_cache_dir"]
    folder = as_path(setting or configured_folder or PROGRAMS_DIR)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if setting:
            raise ValueError(
                f"--compilation-cache is {setting}, which cannot be created: "
                f"{error.strerror}; choose another folder, or off"
            ) from None
        # A home folder that cannot be written to must not stop a command.
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs as well: together they take seconds at each start.
    min_seconds_name = "jax_persistent_cache_min_compile_time_secs"
    if jax.config.values[min_seconds_name] == JAX_MIN_COMPILE_SECONDS:
        jax.config.update(min_seconds_name, 0.0)
    if folder == PROGRAMS_DIR:
        remove_oldest_programs(PROGRAMS_DIR, max_bytes=MAX_PROGRAMS_BYTES)
    return folder


def remove_oldest_programs(folder: Path, *, max_bytes: int) -> None:
    """Remove the least recently used programs of a folder until the others fit.

    JAX has a limit of its own (`jax_compilation_cache_max_size`). It needs the package
    filelock, and jax 0.7.2 fails on programs that were stored before the limit was set.

    Args:
        folder: Folder of compiled programs on a disk.
        max_bytes: Maximum size of all programs that stay.
    """
    # 1. When each program was used, newest first. Another process may remove files.
    programs: list[tuple[float, int, Path]] = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            status = path.stat()
            # Some disks do not record when a file was read.
            used_at = max(status.st_atime, status.st_mtime)
            programs.append((used_at, status.st_size, path))
    # 2. From the program on that exceeds the limit, all are removed.
    total_bytes = 0
    for _, num_bytes, path in sorted(programs, reverse=True):
        total_bytes += num_bytes
        if total_bytes > max_bytes:
            with contextlib.suppress(OSError):
                path.unlink()
