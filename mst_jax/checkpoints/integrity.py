"""Checksums of a checkpoint's files, for Orbax reads a changed byte as another number.

A bucket looks after its own: what lies there has none, and is believed.
"""

import json
import zlib
from pathlib import Path

from mst_jax.atomic_io import Place

CHECKSUMS = "checksums.json"

# Written when a checkpoint is already whole, and not needed to read it.
LATER = {CHECKSUMS, "commit_success.txt", "_CHECKPOINT_METADATA"}

BLOCK = 1 << 24  # bytes


def write_checksums(folder: Place) -> None:
    """Writes the size and the CRC-32 of every file under `folder` into it."""
    if not isinstance(folder, Path):
        return
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in LATER
    )
    sums = {str(path.relative_to(folder)): _measure(path) for path in files}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=1))


def find_damage(folder: Place, part: str) -> str:
    """Compares the files of a checkpoint with its checksums.

    Args:
        folder: of the checkpoint. One without checksums (of an older run) is believed.
        part: subfolder that must be there; all files count if it is empty.

    Returns:
        A phrase that names the first file that is not as it was written; empty if there
        is none.
    """
    if not isinstance(folder, Path):
        return ""
    if not any((folder / part).iterdir() if (folder / part).is_dir() else ()):
        return f"{part or 'the folder'} is empty"
    try:
        sums = json.loads((folder / CHECKSUMS).read_text())
    except FileNotFoundError:
        return ""
    except ValueError:
        return f"{CHECKSUMS} is not JSON"
    for name, measured in sums.items():
        if part and not name.startswith(f"{part}/"):
            continue
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if _measure(path) != measured:
            return f"{name} is not as it was written"
    return ""


def _measure(path: Path) -> list[int]:
    """Size in bytes and CRC-32."""
    total = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            total = zlib.crc32(block, total)
        return [file.tell(), total]
