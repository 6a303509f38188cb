"""Looking into the folder that a user names as the source of a data set."""

from __future__ import annotations

from pathlib import Path

_CLUTTER = {"thumbs.db", "desktop.ini"}  # what desktops leave in folders of pictures


def require_folders(source: Path, names: tuple[str, ...], *, layout: str) -> None:
    """Raises ValueError unless the source has these folders; says what was looked for."""
    for name in names:
        if not (source / name).is_dir():
            raise ValueError(
                f"looked for the folder {source / name} and did not find it; "
                f"--source must hold {layout}"
            )


def list_files(folder: Path) -> list[Path]:
    """Files and folders of a folder by name, without hidden ones and desktop clutter."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _CLUTTER
    )
