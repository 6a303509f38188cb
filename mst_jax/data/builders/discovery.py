"""Looking into the folder that a user names as the source of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mst_jax.data.errors import Faults
from mst_jax.data.formats.images import PICTURE_SUFFIXES

_CLUTTER = {"thumbs.db", "desktop.ini"}  # what desktops leave in folders of pictures


class Item(NamedTuple):
    """A picture that is still to be read, and the files that hold its objects.

    Attributes:
        id: name of the picture within its split.
        picture: its file.
        masks: files with one or more layers each.
    """

    id: str
    picture: Path
    masks: tuple[Path, ...]


def find_root(
    source: Path, needed: Sequence[str], *, nested: Sequence[str] = (), layout: str
) -> Path:
    """The source, or the folder inside it that an archive unpacks to.

    Args:
        source: what the user names.
        needed: files and folders that must be there, as patterns; `a|b` is satisfied
            by either.
        nested: folders in which to look when the source itself does not hold them.
        layout: what the source should hold, for the error.

    Raises:
        ValueError: something is missing; says what was looked for and the layout.
    """
    for root in (source, *(source / folder for folder in nested)):
        if not _missing(root, needed):
            return root
    first = _missing(source, needed).split("|")
    looked = " or ".join(str(source / name) for name in first)
    raise ValueError(
        f"looked for {looked} and did not find it; --source must hold {layout}"
    )


def list_files(folder: Path) -> list[Path]:
    """Files and folders of a folder by name, without hidden ones and desktop clutter."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _CLUTTER
    )


def read_names(path: Path) -> list[str]:
    """The names in a list of pictures, one a line, first word; empty lines are left out.

    Raises:
        ValueError: not a text, or a name that leads out of the folder.
    """
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no text: {error.reason}") from error
    names = [line.split()[0] for line in lines if line.strip()]
    for name in names:
        if ".." in name or name.startswith("/"):
            raise ValueError(
                f"{path.name} names {name!r}, expected a name of a picture"
            )
    return list(dict.fromkeys(names))


def find_by_stem(
    folder: Path,
    faults: Faults,
    *,
    suffixes: Sequence[str],
    kind: str,
    passed_over: Sequence[str] = (),
) -> dict[str, Path]:
    """Files by stem; what has another suffix or the same stem is noted as a fault.

    Args:
        folder: where to look.
        faults: where faults are noted.
        suffixes: what the files may be.
        kind: what they are called in the note.
        passed_over: suffixes of files that are there for something else.
    """
    found: dict[str, Path] = {}
    for path in list_files(folder):
        if path.suffix.lower() in passed_over:
            continue
        if path.suffix.lower() not in suffixes or path.is_dir():
            faults.add(path, f"not a {kind} file ({', '.join(suffixes)})")
        elif path.stem in found:
            faults.add(path, f"has the same stem as {found[path.stem].name}")
        else:
            found[path.stem] = path
    return found


def find_pairs(
    pictures: Path,
    masks: Path,
    faults: Faults,
    *,
    picture_suffixes: Sequence[str] = PICTURE_SUFFIXES,
    mask_suffixes: Sequence[str] = (".png", ".bmp", ".tif", ".tiff", ".jpg"),
    prefix: str = "",
) -> list[Item]:
    """Pictures of one folder with the masks of the same stem in another.

    A picture without mask and a mask without picture are noted as faults.

    Args:
        pictures: folder of the pictures.
        masks: folder of the masks; may be the same if the suffixes differ.
        faults: where faults are noted.
        picture_suffixes: what pictures may be.
        mask_suffixes: what masks may be; the first is named when one is missing.
        prefix: put before the stems, to make the ids.
    """
    shared = pictures == masks
    images = find_by_stem(
        pictures,
        faults,
        suffixes=picture_suffixes,
        kind="picture",
        passed_over=mask_suffixes if shared else (),
    )
    maps = find_by_stem(
        masks,
        faults,
        suffixes=mask_suffixes,
        kind="mask",
        passed_over=picture_suffixes if shared else (),
    )
    for stem in maps.keys() - images.keys():
        faults.add(maps[stem], "mask without picture")
    items = []
    for stem, path in images.items():
        if stem in maps:
            items.append(Item(prefix + stem, path, (maps[stem],)))
        else:
            faults.add(path, f"has no mask {masks.name}/{stem}{mask_suffixes[0]}")
    return items


def _missing(root: Path, needed: Sequence[str]) -> str:
    """The first of the needed files that is not there, or an empty string."""
    for choice in needed:
        if not any(any(root.glob(pattern)) for pattern in choice.split("|")):
            return choice
    return ""
