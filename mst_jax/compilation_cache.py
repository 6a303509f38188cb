"""Keep compiled programs on disk, so that the next start of a command loads them."""

import argparse
import os
from pathlib import Path

import jax

from mst_jax.atomic_io import PathLike, as_path

CACHE_DIR = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "mst_jax").expanduser()
"""Folder of this project for files that may be deleted at any time."""

PROGRAMS_DIR = CACHE_DIR / "programs"
CACHE_OFF = "off"

# JAX's own default: programs that compile faster are not stored.
JAX_MIN_COMPILE_SECONDS = 1.0


def add_cache_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag whose value is the argument of `enable_compilation_cache`."""
    parser.add_argument(
        "--compilation-cache",
        metavar="DIR|off",
        help="folder of compiled programs, which the next start loads instead of "
        f"compiling; default: JAX_COMPILATION_CACHE_DIR or {PROGRAMS_DIR}",
    )


def enable_compilation_cache(setting: str | None = None) -> PathLike | None:
    """Store compiled programs on disk from here on.

    Call it before the first program is compiled. The setting holds for the process.

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
    return folder
